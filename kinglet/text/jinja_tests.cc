// Tests: what stands behind `is`.
#include <algorithm>

#include <fmt/format.h>

#include "kinglet/text/jinja_builtins.h"
#include "kinglet/text/jinja_format.h"
#include "kinglet/text/jinja_operators.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {
namespace {

using Flavour = Sequence::Flavour;

const Value& only(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.size() != 1) runtime.fail("a test takes one argument here");
  return arguments.positional[0];
}

bool is_sequence(const Value& value) {
  if (const Sequence* sequence = value.sequence()) {
    return sequence->flavour == Flavour::kList || sequence->flavour == Flavour::kTuple ||
           sequence->flavour == Flavour::kRange;
  }
  return value.is_string() || value.dict() != nullptr || value.is_undefined();
}

bool is_iterable(const Value& value) {
  return value.sequence() != nullptr || value.is_string() || value.dict() != nullptr || value.is_undefined() ||
         value.loop() != nullptr;
}

// A test that looks at the value alone.
template <bool (*kHolds)(const Value&)>
bool simple(Runtime&, const Value& value, const Arguments&) {
  return kHolds(value);
}

template <char kFirst, char kSecond = '\0'>
bool comparison(Runtime& runtime, const Value& value, const Arguments& arguments) {
  static constexpr char kText[] = {kFirst, kSecond, '\0'};
  return compare(runtime, kText, value, only(runtime, arguments));
}

bool divisible(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return !truth(arithmetic(runtime, "%", value, only(runtime, arguments)));
}
bool parity(Runtime& runtime, const Value& value, bool odd) {
  return truth(arithmetic(runtime, "%", value, std::int64_t{2})) == odd;
}
bool is_odd(Runtime& runtime, const Value& value, const Arguments&) { return parity(runtime, value, true); }
bool is_even(Runtime& runtime, const Value& value, const Arguments&) { return parity(runtime, value, false); }

bool is_in(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return contains(runtime, only(runtime, arguments), value);
}
bool is_same(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return value.same_object(only(runtime, arguments));
}

template <bool (*kRight)(char32_t)>
bool is_in_case(Runtime& runtime, const Value& value, const Arguments&) {
  const std::string text = to_text(runtime, value);
  bool any = false;
  for (std::size_t at = 0; at < text.size(); at = next_code_point(text, at)) {
    const char32_t c = code_point_at(text, at);
    if (!is_cased(c)) continue;
    if (!kRight(c)) return false;
    any = true;
  }
  return any;
}

bool is_filter(Runtime& runtime, const Value& value, const Arguments&) {
  const std::string& name = runtime.text_of(value, "the name of a filter");
  return find_text_filter(name) != nullptr || find_sequence_filter(name) != nullptr;
}
bool is_test(Runtime& runtime, const Value& value, const Arguments&) {
  return find_test(runtime.text_of(value, "the name of a test")) != nullptr;
}

struct NamedTest {
  std::string_view name;
  Test test;
};
constexpr NamedTest kTests[] = {
    {"defined", simple<[](const Value& value) { return !value.is_undefined(); }>},
    {"undefined", simple<[](const Value& value) { return value.is_undefined(); }>},
    {"none", simple<[](const Value& value) { return value.is_none(); }>},
    {"string", simple<[](const Value& value) { return value.is_string(); }>},
    {"mapping", simple<[](const Value& value) { return value.dict() != nullptr; }>},
    {"sequence", simple<is_sequence>},
    {"iterable", simple<is_iterable>},
    {"number", simple<[](const Value& value) { return value.is_number(); }>},
    {"integer", simple<[](const Value& value) { return value.is_integer(); }>},
    {"float", simple<[](const Value& value) { return value.is_float(); }>},
    {"boolean", simple<[](const Value& value) { return value.is_boolean(); }>},
    {"true", simple<[](const Value& value) { return value.is_boolean() && value.boolean(); }>},
    {"false", simple<[](const Value& value) { return value.is_boolean() && !value.boolean(); }>},
    {"callable", simple<[](const Value& value) { return value.callable() != nullptr; }>},
    {"escaped", simple<[](const Value&) { return false; }>},
    {"eq", comparison<'=', '='>},
    {"equalto", comparison<'=', '='>},
    {"==", comparison<'=', '='>},
    {"ne", comparison<'!', '='>},
    {"!=", comparison<'!', '='>},
    {"lt", comparison<'<'>},
    {"lessthan", comparison<'<'>},
    {"<", comparison<'<'>},
    {"gt", comparison<'>'>},
    {"greaterthan", comparison<'>'>},
    {">", comparison<'>'>},
    {"le", comparison<'<', '='>},
    {"<=", comparison<'<', '='>},
    {"ge", comparison<'>', '='>},
    {">=", comparison<'>', '='>},
    {"in", is_in},
    {"sameas", is_same},
    {"divisibleby", divisible},
    {"odd", is_odd},
    {"even", is_even},
    {"lower", is_in_case<is_lower>},
    {"upper", is_in_case<is_upper>},
    {"filter", is_filter},
    {"test", is_test},
};

}  // namespace

Test find_test(std::string_view name) {
  const auto found =
      std::find_if(std::begin(kTests), std::end(kTests), [&](const NamedTest& one) { return one.name == name; });
  return found == std::end(kTests) ? nullptr : found->test;
}

bool apply_test(Runtime& runtime, std::string_view name, const Value& value, const Arguments& arguments) {
  const Test test = find_test(name);
  if (test == nullptr) runtime.fail(fmt::format("there is no test '{}'", name));
  runtime.spend();
  return test(runtime, value, arguments);
}

}  // namespace kinglet::jinja
