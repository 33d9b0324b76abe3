// The two halves of the parser: expressions, and the statements that hold them. Used by jinja_parser.cc only.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/text/jinja_syntax.h"

namespace kinglet::jinja {

// The tokens of a template, read once from front to back.
class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, std::string_view where) : tokens_(std::move(tokens)), where_(where) {}

  const Token& peek(std::size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Token next();
  int line() const { return peek().line; }

  bool at(Token::Kind kind) const { return peek().kind == kind; }
  bool at_operator(std::string_view text) const { return at(Token::Kind::kOperator) && peek().text == text; }
  bool at_name(std::string_view text) const { return at(Token::Kind::kName) && peek().text == text; }
  bool take_operator(std::string_view text);
  bool take_name(std::string_view text);
  void expect_operator(std::string_view text);
  void expect_name(std::string_view text);
  std::string expect_any_name();

  [[noreturn]] void fail(std::string_view what) const;
  [[noreturn]] void fail_unexpected() const;

 private:
  std::vector<Token> tokens_;
  std::string_view where_;
  std::size_t at_ = 0;
};

// How deep the parser stands; refuses to go on beyond a limit, so that no source can exhaust the stack.
class Nesting {
 public:
  Nesting(const TokenStream& stream, int& depth);
  ~Nesting() { --depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  int& depth_;
};

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  ExpressionPointer expression(bool with_condition = true);
  // One expression, or a tuple of them without brackets.
  ExpressionPointer tuple(bool in_brackets = false, bool with_condition = true);
  ExpressionPointer filters(ExpressionPointer value);  // | name(...) ...; at least none
  ExpressionPointer first_filter();                    // name(...) | ..., for a filter block
  ExpressionPointer postfix(ExpressionPointer value);
  ExpressionPointer primary();

 private:
  ExpressionPointer make(Expression::Kind kind, std::string text = {}) const;
  void grow(Expression& parent, const Expression* child) const;
  void adopt(Expression& parent, ExpressionPointer child) const;
  void measure_arguments(Expression& call) const;
  ExpressionPointer binary(std::string text, ExpressionPointer left, ExpressionPointer right) const;
  ExpressionPointer disjunction();
  ExpressionPointer conjunction();
  ExpressionPointer negation();
  ExpressionPointer comparison();
  std::string take_comparison();
  ExpressionPointer sum();
  ExpressionPointer concatenation();
  ExpressionPointer product();
  ExpressionPointer power();
  ExpressionPointer unary(bool with_filters);
  ExpressionPointer filters_and_tests(ExpressionPointer value);
  ExpressionPointer one_filter(ExpressionPointer value);
  ExpressionPointer test(ExpressionPointer value);
  bool test_argument_follows() const;
  ExpressionPointer subscript(ExpressionPointer value);
  ExpressionPointer index_or_slice(ExpressionPointer value);
  ExpressionPointer call(ExpressionPointer value);
  std::vector<NamedExpression> arguments();
  ExpressionPointer name_or_constant();
  ExpressionPointer string();
  ExpressionPointer number();
  ExpressionPointer list();
  ExpressionPointer dict();
  bool tuple_ends() const;

  TokenStream& stream_;
  int depth_ = 0;
};

}  // namespace kinglet::jinja
