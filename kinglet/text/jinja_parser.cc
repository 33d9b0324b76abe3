#include "kinglet/text/jinja_parser.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet::jinja {
namespace {

constexpr int kMaxDepth = 100;

std::string describe(const Token& token) {
  using Kind = Token::Kind;
  switch (token.kind) {
    case Kind::kText:
      return "text";
    case Kind::kVariableBegin:
      return "'{{'";
    case Kind::kVariableEnd:
      return "'}}'";
    case Kind::kBlockBegin:
      return "'{%'";
    case Kind::kBlockEnd:
      return "'%}'";
    case Kind::kEnd:
      return "the end of the template";
    default:
      return fmt::format("'{}'", token.text);
  }
}

}  // namespace

Token TokenStream::next() {
  Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenStream::take_operator(std::string_view text) {
  if (!at_operator(text)) return false;
  next();
  return true;
}

bool TokenStream::take_name(std::string_view text) {
  if (!at_name(text)) return false;
  next();
  return true;
}

void TokenStream::expect_operator(std::string_view text) {
  if (!take_operator(text)) fail(fmt::format("'{}' is expected, not {}", text, describe(peek())));
}

void TokenStream::expect_name(std::string_view text) {
  if (!take_name(text)) fail(fmt::format("'{}' is expected, not {}", text, describe(peek())));
}

std::string TokenStream::expect_any_name() {
  if (!at(Token::Kind::kName)) fail(fmt::format("a name is expected, not {}", describe(peek())));
  return next().text;
}

void TokenStream::fail(std::string_view what) const {
  throw bad_input(fmt::format("{}, line {}", where_, line()), what, "correct the template");
}

void TokenStream::fail_unexpected() const { fail(fmt::format("{} is not expected here", describe(peek()))); }

Nesting::Nesting(const TokenStream& stream, int& depth) : depth_(depth) {
  if (depth >= kMaxDepth) stream.fail(fmt::format("expressions or blocks are nested more than {} deep", kMaxDepth));
  ++depth_;
}

namespace {

using StatementKind = Statement::Kind;

class Parser {
 public:
  Parser(std::string_view source, std::string_view where)
      : stream_(tokenize(source, where), where), expressions_(stream_) {}

  Statements run() {
    Statements result = block({});
    if (!stream_.at(Token::Kind::kEnd)) stream_.fail_unexpected();
    return result;
  }

 private:
  std::unique_ptr<Statement> make(StatementKind kind) const {
    auto result = std::make_unique<Statement>();
    result->kind = kind;
    result->line = stream_.line();
    return result;
  }
  void expect_block_end() {
    if (!stream_.at(Token::Kind::kBlockEnd)) stream_.fail_unexpected();
    stream_.next();
  }

  // Statements up to a tag that begins with one of `ends`; the stream then stands at that name.
  Statements block(std::initializer_list<std::string_view> ends) {
    const Nesting nesting(stream_, depth_);
    Statements result;
    for (;;) {
      switch (stream_.peek().kind) {
        case Token::Kind::kText:
          result.push_back(make(StatementKind::kText));
          result.back()->text = stream_.next().text;
          break;
        case Token::Kind::kVariableBegin:
          stream_.next();
          result.push_back(make(StatementKind::kOutput));
          result.back()->value = expressions_.tuple();
          if (!stream_.at(Token::Kind::kVariableEnd)) stream_.fail_unexpected();
          stream_.next();
          break;
        case Token::Kind::kBlockBegin:
          stream_.next();
          if (std::any_of(ends.begin(), ends.end(), [&](std::string_view name) { return stream_.at_name(name); })) {
            return result;
          }
          result.push_back(tag());
          break;
        default:
          if (ends.size() > 0) stream_.fail(fmt::format("the template ends before '{}'", *(ends.end() - 1)));
          return result;
      }
    }
  }
  Statements block_until(std::string_view end) {
    Statements result = block({end});
    stream_.next();
    expect_block_end();
    return result;
  }

  std::unique_ptr<Statement> tag() {
    const std::string name = stream_.expect_any_name();
    if (name == "if") return condition();
    if (name == "for") return loop();
    if (name == "set") return assignment();
    if (name == "macro") return macro();
    if (name == "call") return call_block();
    if (name == "filter") return filter_block();
    if (name == "with") return with_block();
    if (name == "generation") return simple_block(StatementKind::kGeneration, "endgeneration");
    if (name == "break" || name == "continue") {
      if (loops_ == 0) stream_.fail(fmt::format("'{}' stands outside of a loop", name));
      auto result = make(name == "break" ? StatementKind::kBreak : StatementKind::kContinue);
      expect_block_end();
      return result;
    }
    stream_.fail(fmt::format("the tag '{}' is not known", name));
  }

  std::unique_ptr<Statement> simple_block(StatementKind kind, std::string_view end) {
    auto result = make(kind);
    expect_block_end();
    result->body = block_until(end);
    return result;
  }

  std::unique_ptr<Statement> condition() {
    const Nesting nesting(stream_, depth_);
    auto result = make(StatementKind::kIf);
    result->value = expressions_.tuple(false, false);
    expect_block_end();
    result->body = block({"elif", "else", "endif"});
    if (stream_.take_name("elif")) {
      result->otherwise.push_back(condition());  // takes the endif of all
      return result;
    }
    if (stream_.take_name("else")) {
      expect_block_end();
      result->otherwise = block({"endif"});
    }
    stream_.expect_name("endif");
    expect_block_end();
    return result;
  }

  std::unique_ptr<Statement> loop() {
    auto result = make(StatementKind::kFor);
    result->target = targets(/*with_attributes=*/false);
    stream_.expect_name("in");
    result->value = expressions_.tuple(false, false);
    if (stream_.take_name("if")) result->condition = expressions_.expression();
    if (stream_.at_name("recursive")) stream_.fail("recursive loops are not supported");
    expect_block_end();
    ++loops_;
    result->body = block({"else", "endfor"});
    --loops_;
    if (stream_.take_name("else")) {
      expect_block_end();
      result->otherwise = block({"endfor"});
    }
    stream_.expect_name("endfor");
    expect_block_end();
    return result;
  }

  Target one_target(bool with_attributes) {
    const Nesting nesting(stream_, depth_);
    if (stream_.take_operator("(")) {
      Target result = targets(with_attributes);
      stream_.expect_operator(")");
      return result;
    }
    Target result;
    result.name = stream_.expect_any_name();
    static constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None"};
    if (std::find(std::begin(kReserved), std::end(kReserved), result.name) != std::end(kReserved)) {
      stream_.fail(fmt::format("'{}' cannot be assigned", result.name));
    }
    if (with_attributes && stream_.take_operator(".")) result.attribute = stream_.expect_any_name();
    return result;
  }
  Target targets(bool with_attributes) {
    Target first = one_target(with_attributes);
    if (!stream_.at_operator(",")) return first;
    Target result;
    result.parts.push_back(std::move(first));
    while (stream_.take_operator(",")) {
      if (stream_.at_name("in") || stream_.at_operator("=") || stream_.at_operator(")")) break;
      result.parts.push_back(one_target(with_attributes));
    }
    return result;
  }

  std::unique_ptr<Statement> assignment() {
    auto result = make(StatementKind::kSet);
    result->target = targets(/*with_attributes=*/true);
    if (stream_.take_operator("=")) {
      result->value = expressions_.tuple();
      expect_block_end();
      return result;
    }
    result->kind = StatementKind::kSetBlock;
    result->value = expressions_.filters(nullptr);
    expect_block_end();
    result->body = block_until("endset");
    return result;
  }

  std::vector<Parameter> parameters() {
    std::vector<Parameter> result;
    stream_.expect_operator("(");
    while (!stream_.at_operator(")")) {
      if (!result.empty()) stream_.expect_operator(",");
      Parameter parameter{stream_.expect_any_name(), nullptr};
      if (stream_.take_operator("=")) {
        parameter.otherwise = expressions_.expression();
      } else if (!result.empty() && result.back().otherwise != nullptr) {
        stream_.fail("a parameter without a default follows one with a default");
      }
      result.push_back(std::move(parameter));
    }
    stream_.expect_operator(")");
    return result;
  }

  // The body of a macro stands in no loop, even where the macro does.
  Statements body_outside_of_loops(std::string_view end) {
    const int around = std::exchange(loops_, 0);
    Statements result = block_until(end);
    loops_ = around;
    return result;
  }

  std::unique_ptr<Statement> macro() {
    auto result = make(StatementKind::kMacro);
    result->text = stream_.expect_any_name();
    result->parameters = parameters();
    expect_block_end();
    result->body = body_outside_of_loops("endmacro");
    return result;
  }

  std::unique_ptr<Statement> call_block() {
    auto result = make(StatementKind::kCall);
    if (stream_.at_operator("(")) result->parameters = parameters();
    result->value = expressions_.expression();
    if (result->value->kind != Expression::Kind::kCall) stream_.fail("'call' needs a call");
    expect_block_end();
    result->body = body_outside_of_loops("endcall");
    return result;
  }

  std::unique_ptr<Statement> filter_block() {
    auto result = make(StatementKind::kFilter);
    result->value = expressions_.first_filter();
    expect_block_end();
    result->body = body_outside_of_loops("endfilter");
    return result;
  }

  std::unique_ptr<Statement> with_block() {
    auto result = make(StatementKind::kWith);
    while (!stream_.at(Token::Kind::kBlockEnd)) {
      if (!result->parameters.empty()) stream_.expect_operator(",");
      std::string name = stream_.expect_any_name();
      stream_.expect_operator("=");
      result->parameters.push_back({std::move(name), expressions_.expression()});
    }
    expect_block_end();
    result->body = block_until("endwith");
    return result;
  }

  TokenStream stream_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

Statements parse(std::string_view source, std::string_view where) { return Parser(source, where).run(); }

}  // namespace kinglet::jinja
