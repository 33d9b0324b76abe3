// Expressions, from the loosest binding to the tightest: if-else, or, and, not, comparisons, + -, ~, * / // %, **,
// unary + -, then attributes, items and calls, then filters and tests.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "kinglet/text/jinja_parser.h"

namespace kinglet::jinja {
namespace {
using Kind = Expression::Kind;
constexpr int kMaxHeight = 200;
}  // namespace

ExpressionPointer ExpressionParser::make(Kind kind, std::string text) const {
  auto result = std::make_unique<Expression>();
  result->kind = kind;
  result->line = stream_.line();
  result->text = std::move(text);
  return result;
}

// Chains such as a + b + c lean to the left without the parser descending, but the evaluator and the destructor do.
void ExpressionParser::grow(Expression& parent, const Expression* child) const {
  if (child == nullptr) return;
  parent.height = std::max(parent.height, child->height + 1);
  if (parent.height > kMaxHeight) stream_.fail(fmt::format("an expression of more than {} levels", kMaxHeight));
}

void ExpressionParser::adopt(Expression& parent, ExpressionPointer child) const {
  grow(parent, child.get());
  parent.operands.push_back(std::move(child));
}

void ExpressionParser::measure_arguments(Expression& call) const {
  for (const NamedExpression& argument : call.arguments) grow(call, argument.value.get());
}

ExpressionPointer ExpressionParser::binary(std::string text, ExpressionPointer left, ExpressionPointer right) const {
  ExpressionPointer result = make(Kind::kBinary, std::move(text));
  adopt(*result, std::move(left));
  adopt(*result, std::move(right));
  return result;
}

ExpressionPointer ExpressionParser::expression(bool with_condition) {
  const Nesting nesting(stream_, depth_);
  ExpressionPointer value = disjunction();
  while (with_condition && stream_.take_name("if")) {
    ExpressionPointer condition = make(Kind::kCondition);
    adopt(*condition, std::move(value));
    adopt(*condition, disjunction());
    adopt(*condition, stream_.take_name("else") ? expression() : nullptr);
    value = std::move(condition);
  }
  return value;
}

ExpressionPointer ExpressionParser::disjunction() {
  ExpressionPointer left = conjunction();
  while (stream_.take_name("or")) {
    left = binary("or", std::move(left), conjunction());
  }
  return left;
}

ExpressionPointer ExpressionParser::conjunction() {
  ExpressionPointer left = negation();
  while (stream_.take_name("and")) {
    left = binary("and", std::move(left), negation());
  }
  return left;
}

ExpressionPointer ExpressionParser::negation() {
  if (!stream_.at_name("not")) return comparison();
  const Nesting nesting(stream_, depth_);
  ExpressionPointer result = make(Kind::kUnary, "not");
  stream_.next();
  adopt(*result, negation());
  return result;
}

// The operator of a comparison that follows; empty when none does.
std::string ExpressionParser::take_comparison() {
  for (const std::string_view text : {"==", "!=", "<=", ">=", "<", ">"}) {
    if (stream_.take_operator(text)) return std::string(text);
  }
  if (stream_.take_name("in")) return "in";
  if (stream_.at_name("not") && stream_.peek(1).kind == Token::Kind::kName && stream_.peek(1).text == "in") {
    stream_.next();
    stream_.next();
    return "not in";
  }
  return {};
}

ExpressionPointer ExpressionParser::comparison() {
  ExpressionPointer first = sum();
  std::string text = take_comparison();
  if (text.empty()) return first;
  ExpressionPointer result = make(Kind::kComparison);
  adopt(*result, std::move(first));
  for (; !text.empty(); text = take_comparison()) {
    result->texts.push_back(std::move(text));
    adopt(*result, sum());
  }
  return result;
}

ExpressionPointer ExpressionParser::sum() {
  ExpressionPointer left = concatenation();
  while (stream_.at_operator("+") || stream_.at_operator("-")) {
    std::string text = stream_.next().text;
    left = binary(std::move(text), std::move(left), concatenation());
  }
  return left;
}

ExpressionPointer ExpressionParser::concatenation() {
  ExpressionPointer first = product();
  if (!stream_.at_operator("~")) return first;
  ExpressionPointer result = make(Kind::kBinary, "~");
  adopt(*result, std::move(first));
  while (stream_.take_operator("~")) adopt(*result, product());
  return result;
}

ExpressionPointer ExpressionParser::product() {
  ExpressionPointer left = power();
  const auto follows = [&] {
    return stream_.at_operator("*") || stream_.at_operator("/") || stream_.at_operator("//") ||
           stream_.at_operator("%");
  };
  while (follows()) {
    std::string text = stream_.next().text;
    left = binary(std::move(text), std::move(left), power());
  }
  return left;
}

ExpressionPointer ExpressionParser::power() {
  ExpressionPointer left = unary(true);
  while (stream_.take_operator("**")) {
    left = binary("**", std::move(left), unary(true));
  }
  return left;
}

ExpressionPointer ExpressionParser::unary(bool with_filters) {
  const Nesting nesting(stream_, depth_);
  ExpressionPointer value;
  if (stream_.at_operator("-") || stream_.at_operator("+")) {
    value = make(Kind::kUnary, stream_.peek().text);
    stream_.next();
    adopt(*value, unary(false));
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filters ? filters_and_tests(std::move(value)) : std::move(value);
}

// ---- what follows a value ------------------------------------------------------------------------------------------

ExpressionPointer ExpressionParser::postfix(ExpressionPointer value) {
  for (;;) {
    if (stream_.at_operator(".") || stream_.at_operator("["))
      value = subscript(std::move(value));
    else if (stream_.at_operator("("))
      value = call(std::move(value));
    else
      return value;
  }
}

ExpressionPointer ExpressionParser::filters_and_tests(ExpressionPointer value) {
  for (;;) {
    if (stream_.take_operator("|"))
      value = one_filter(std::move(value));
    else if (stream_.take_name("is"))
      value = test(std::move(value));
    else if (stream_.at_operator("("))
      value = call(std::move(value));
    else
      return value;
  }
}

ExpressionPointer ExpressionParser::filters(ExpressionPointer value) {
  while (stream_.take_operator("|")) {
    value = one_filter(std::move(value));
  }
  return value;
}

ExpressionPointer ExpressionParser::first_filter() { return filters(one_filter(nullptr)); }

ExpressionPointer ExpressionParser::one_filter(ExpressionPointer value) {
  ExpressionPointer result = make(Kind::kFilter, stream_.expect_any_name());
  adopt(*result, std::move(value));
  if (stream_.at_operator("(")) {
    result->arguments = arguments();
    measure_arguments(*result);
  }
  return result;
}

// The argument of a test may stand without brackets: `is divisibleby 3`.
bool ExpressionParser::test_argument_follows() const {
  if (stream_.at_name("else") || stream_.at_name("or") || stream_.at_name("and")) return false;
  using TokenKind = Token::Kind;
  return stream_.at(TokenKind::kName) || stream_.at(TokenKind::kString) || stream_.at(TokenKind::kInteger) ||
         stream_.at(TokenKind::kFloat) || stream_.at_operator("[") || stream_.at_operator("{");
}

ExpressionPointer ExpressionParser::test(ExpressionPointer value) {
  const bool negated = stream_.take_name("not");
  ExpressionPointer result = make(Kind::kTest, stream_.expect_any_name());
  adopt(*result, std::move(value));
  if (stream_.at_operator("(")) {
    {
      result->arguments = arguments();
      measure_arguments(*result);
    }
  } else if (test_argument_follows()) {
    if (stream_.at_name("is")) stream_.fail("tests cannot be chained with 'is'");
    result->arguments.push_back({"", postfix(primary()), NamedExpression::Spread::kNone});
    measure_arguments(*result);
  }
  if (!negated) return result;
  ExpressionPointer negation = make(Kind::kUnary, "not");
  adopt(*negation, std::move(result));
  return negation;
}

ExpressionPointer ExpressionParser::subscript(ExpressionPointer value) {
  if (stream_.take_operator("[")) return index_or_slice(std::move(value));
  stream_.expect_operator(".");
  if (stream_.at(Token::Kind::kName)) {
    ExpressionPointer result = make(Kind::kAttribute, stream_.next().text);
    adopt(*result, std::move(value));
    return result;
  }
  if (!stream_.at(Token::Kind::kInteger)) stream_.fail("a name or a number must follow '.'");
  ExpressionPointer result = make(Kind::kItem);
  adopt(*result, std::move(value));
  adopt(*result, number());
  return result;
}

ExpressionPointer ExpressionParser::index_or_slice(ExpressionPointer value) {
  ExpressionPointer result = make(Kind::kItem);
  adopt(*result, std::move(value));
  ExpressionPointer first = stream_.at_operator(":") ? nullptr : expression();
  if (stream_.take_operator("]")) {
    if (first == nullptr) stream_.fail_unexpected();
    adopt(*result, std::move(first));
    return result;
  }
  if (stream_.at_operator(",")) {  // value[a, b]: the item whose key is a tuple
    ExpressionPointer key = make(Kind::kTuple);
    adopt(*key, std::move(first));
    while (stream_.take_operator(",") && !stream_.at_operator("]")) adopt(*key, expression());
    stream_.expect_operator("]");
    adopt(*result, std::move(key));
    return result;
  }
  result->kind = Kind::kSlice;
  adopt(*result, std::move(first));
  for (int bound = 0; bound < 2; ++bound) {
    const bool given = stream_.take_operator(":") && !stream_.at_operator(":") && !stream_.at_operator("]");
    adopt(*result, given ? expression() : nullptr);
  }
  stream_.expect_operator("]");
  return result;
}

ExpressionPointer ExpressionParser::call(ExpressionPointer value) {
  ExpressionPointer result = make(Kind::kCall);
  adopt(*result, std::move(value));
  result->arguments = arguments();
  measure_arguments(*result);
  return result;
}

std::vector<NamedExpression> ExpressionParser::arguments() {
  using Spread = NamedExpression::Spread;
  std::vector<NamedExpression> result;
  stream_.expect_operator("(");
  while (!stream_.at_operator(")")) {
    if (!result.empty()) {
      stream_.expect_operator(",");
      if (stream_.at_operator(")")) break;
    }
    if (stream_.take_operator("*")) {
      result.push_back({"", expression(), Spread::kPositional});
    } else if (stream_.take_operator("**")) {
      result.push_back({"", expression(), Spread::kNamed});
    } else if (stream_.at(Token::Kind::kName) && stream_.peek(1).kind == Token::Kind::kOperator &&
               stream_.peek(1).text == "=") {
      std::string name = stream_.next().text;
      stream_.next();
      result.push_back({std::move(name), expression(), Spread::kNone});
    } else {
      if (!result.empty() && (!result.back().name.empty() || result.back().spread != Spread::kNone)) {
        stream_.fail("an argument without a name follows one with a name");
      }
      result.push_back({"", expression(), Spread::kNone});
    }
  }
  stream_.expect_operator(")");
  return result;
}

// ---- values ----------------------------------------------------------------------------------------------------

ExpressionPointer ExpressionParser::primary() {
  switch (stream_.peek().kind) {
    case Token::Kind::kName:
      return name_or_constant();
    case Token::Kind::kString:
      return string();
    case Token::Kind::kInteger:
    case Token::Kind::kFloat:
      return number();
    default:
      break;
  }
  if (stream_.take_operator("(")) {
    ExpressionPointer value = tuple(/*in_brackets=*/true);
    stream_.expect_operator(")");
    return value;
  }
  if (stream_.at_operator("[")) return list();
  if (stream_.at_operator("{")) return dict();
  stream_.fail_unexpected();
}

ExpressionPointer ExpressionParser::name_or_constant() {
  ExpressionPointer result = make(Kind::kName, stream_.peek().text);
  stream_.next();
  const std::string& name = result->text;
  const bool is_true = name == "true" || name == "True", is_false = name == "false" || name == "False";
  if (is_true || is_false || name == "none" || name == "None") result->kind = Kind::kConstant;
  if (is_true || is_false) result->constant = is_true;
  return result;
}

ExpressionPointer ExpressionParser::string() {
  ExpressionPointer result = make(Kind::kConstant);
  std::string text;
  while (stream_.at(Token::Kind::kString)) text += stream_.next().text;
  result->constant = std::move(text);
  return result;
}

ExpressionPointer ExpressionParser::number() {
  ExpressionPointer result = make(Kind::kConstant);
  const Token token = stream_.next();
  const char* begin = token.text.data();
  const char* end = begin + token.text.size();
  if (token.kind == Token::Kind::kFloat) {
    double value = 0;
    if (std::from_chars(begin, end, value).ptr != end) stream_.fail(fmt::format("'{}' is no number", token.text));
    result->constant = value;
    return result;
  }
  int base = 10;
  if (token.text.size() > 2 && token.text[0] == '0' && token.text[1] > '9') {
    const char letter = static_cast<char>(token.text[1] | 0x20);
    base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    begin += 2;
  }
  std::int64_t value = 0;
  if (base == 0) stream_.fail(fmt::format("'{}' is no number", token.text));
  const auto [after, error] = std::from_chars(begin, end, value, base);
  if (error != std::errc() || after != end) {
    stream_.fail(fmt::format("'{}' is no number of at most 64 bits", token.text));
  }
  result->constant = value;
  return result;
}

ExpressionPointer ExpressionParser::list() {
  ExpressionPointer result = make(Kind::kList);
  stream_.expect_operator("[");
  while (!stream_.at_operator("]")) {
    if (!result->operands.empty()) stream_.expect_operator(",");
    if (stream_.at_operator("]")) break;
    adopt(*result, expression());
  }
  stream_.expect_operator("]");
  return result;
}

ExpressionPointer ExpressionParser::dict() {
  ExpressionPointer result = make(Kind::kDict);
  stream_.expect_operator("{");
  while (!stream_.at_operator("}")) {
    if (!result->operands.empty()) stream_.expect_operator(",");
    if (stream_.at_operator("}")) break;
    adopt(*result, expression());
    stream_.expect_operator(":");
    adopt(*result, expression());
  }
  stream_.expect_operator("}");
  return result;
}

bool ExpressionParser::tuple_ends() const {
  return stream_.at(Token::Kind::kVariableEnd) || stream_.at(Token::Kind::kBlockEnd) || stream_.at_operator(")");
}

ExpressionPointer ExpressionParser::tuple(bool in_brackets, bool with_condition) {
  const Nesting nesting(stream_, depth_);
  ExpressionPointer items = make(Kind::kTuple);
  bool is_tuple = false;
  for (;;) {
    if (tuple_ends()) break;
    adopt(*items, expression(with_condition));
    if (!stream_.take_operator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return items;
  if (!items->operands.empty()) return std::move(items->operands.front());
  if (!in_brackets) stream_.fail("an expression is missing");
  return items;
}

}  // namespace kinglet::jinja
