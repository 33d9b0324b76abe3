// A parsed template: a tree of statements and expressions. The lexer makes tokens of the source, the parser the tree.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/text/jinja_value.h"

namespace kinglet::jinja {

struct Token {
  enum class Kind {
    kText,           // outside of tags
    kVariableBegin,  // {{
    kVariableEnd,    // }}
    kBlockBegin,     // {%
    kBlockEnd,       // %}
    kName,
    kString,  // `text` is its content, escapes undone
    kInteger,
    kFloat,
    kOperator,  // `text` is the operator
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string text;
  int line = 1;
};

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

struct NamedExpression {
  std::string name;  // empty: a place, not a name
  ExpressionPointer value;
  enum class Spread { kNone, kPositional, kNamed } spread = Spread::kNone;  // *value, **value
};

struct Expression {
  enum class Kind {
    kConstant,    // constant
    kName,        // text
    kTuple,       // operands
    kList,        // operands
    kDict,        // operands: key, value, key, value ...
    kUnary,       // text: "-", "+", "not"; operands[0]
    kBinary,      // text: + - * / // % ** ~ and or; operands[0], operands[1]
    kComparison,  // operands[0] texts[0] operands[1] texts[1] operands[2] ...
    kCondition,   // operands: value, condition, other (may be null)
    kAttribute,   // operands[0].text
    kItem,        // operands[0][operands[1]]
    kSlice,       // operands[0][operands[1]:operands[2]:operands[3]], each bound may be null
    kCall,        // operands[0](arguments)
    kFilter,      // operands[0] | text(arguments); operands[0] is null for the body of a block
    kTest,        // operands[0] is text(arguments)
  };
  Kind kind = Kind::kConstant;
  int line = 1;
  int height = 1;  // levels of the tree below, with this one
  std::string text;
  std::vector<std::string> texts;
  Value constant;
  std::vector<ExpressionPointer> operands;
  std::vector<NamedExpression> arguments;
};

// What `set` and `for` assign to: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  std::string name, attribute;
  std::vector<Target> parts;
};

struct Statement;
using Statements = std::vector<std::unique_ptr<Statement>>;

struct Parameter {
  std::string name;
  ExpressionPointer otherwise;  // may be null
};

struct Statement {
  enum class Kind {
    kText,        // text
    kOutput,      // value
    kIf,          // value, body, otherwise
    kFor,         // target, value, condition (may be null), body, otherwise
    kSet,         // target, value
    kSetBlock,    // target, body, value: filters or null
    kMacro,       // text: its name, parameters, body
    kCall,        // value: the call, parameters, body: the caller
    kFilter,      // value: filters, body
    kWith,        // parameters with values, body
    kGeneration,  // body
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kText;
  int line = 1;
  std::string text;
  Target target;
  ExpressionPointer value, condition;
  std::vector<Parameter> parameters;
  Statements body, otherwise;
};

// Both raise Error (bad input) that names `where` and the line. The source is limited to 1 MiB.
std::vector<Token> tokenize(std::string_view source, std::string_view where);
Statements parse(std::string_view source, std::string_view where);

}  // namespace kinglet::jinja
