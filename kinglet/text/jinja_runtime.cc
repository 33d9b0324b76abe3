#include "kinglet/text/jinja_runtime.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {

void Runtime::spend(std::uint64_t steps) {
  limits_.steps -= static_cast<std::int64_t>(std::min<std::uint64_t>(steps, std::numeric_limits<std::int32_t>::max()));
  if (limits_.steps < 0) fail("the template takes too many steps");
}

void Runtime::spend_bytes(std::uint64_t bytes) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  limits_.bytes -= static_cast<std::int64_t>(std::min(bytes, kMost));
  if (limits_.bytes < 0) fail("the template builds too much text");
}

void Runtime::fail(std::string_view what, std::string_view remedy) const {
  throw bad_input(fmt::format("{}, line {}", where_, line_), what, remedy);
}

void Runtime::fail_undefined(const Value& value) const { fail(value.undefined_reason()); }

void Runtime::descend() {
  if (depth_ >= limits_.depth) fail("the template goes too deep: a macro that calls itself without an end?");
  ++depth_;
}

Value Runtime::text(std::string value) {
  spend_bytes(value.size());
  return value;
}

Value Runtime::sequence(Sequence::Flavour flavour, std::vector<Value> items) {
  spend(items.size());
  spend_bytes(items.size() * sizeof(Value));
  return make_sequence(flavour, std::move(items));
}

Value Runtime::dict(std::vector<std::pair<Value, Value>> items) {
  spend(items.size());
  spend_bytes(items.size() * 2 * sizeof(Value));
  return make_dict(std::move(items));
}

bool Runtime::equal(const Value& a, const Value& b) {
  std::int64_t steps = limits_.steps;
  const bool result = jinja::equal(a, b, steps);
  spend(static_cast<std::uint64_t>(limits_.steps - steps));
  return result;
}

const Value* Runtime::find(const Dict& dict, const Value& key) {
  spend(1 + dict.items.size() / 8);
  if (key.is_string()) {
    spend(dict.items.size() * (key.text().size() / 64));
    return dict.find(key.text());
  }
  const auto found =
      std::find_if(dict.items.begin(), dict.items.end(), [&](const auto& item) { return equal(item.first, key); });
  return found == dict.items.end() ? nullptr : &found->second;
}

std::vector<Value> Runtime::iterate(const Value& value) {
  if (value.is_undefined()) return {};
  std::vector<Value> result;
  if (const Sequence* sequence = value.sequence()) {
    if (sequence->flavour == Sequence::Flavour::kGenerator && std::exchange(sequence->consumed, true)) return {};
    spend_bytes(sequence->items.size() * sizeof(Value));
    result = sequence->items;
  } else if (const Dict* dict = value.dict()) {
    spend_bytes(dict->items.size() * sizeof(Value));
    for (const auto& [key, item] : dict->items) result.push_back(key);
  } else if (value.is_string()) {
    spend(value.text().size());
    spend_bytes(value.text().size() * 2 * sizeof(Value));
    for (const std::string_view character : characters(value.text())) result.emplace_back(std::string(character));
  } else {
    fail(fmt::format("a value of type {} cannot be iterated", value.kind_name()));
  }
  spend(result.size());
  return result;
}

std::int64_t Runtime::length(const Value& value) {
  if (value.is_undefined()) return 0;
  if (const Dict* dict = value.dict()) return static_cast<std::int64_t>(dict->items.size());
  if (const Loop* loop = value.loop()) return static_cast<std::int64_t>(loop->items->items.size());
  if (value.is_string()) {
    spend(value.text().size() / 64);
    return static_cast<std::int64_t>(count_code_points(value.text()));
  }
  const Sequence* sequence = value.sequence();
  if (sequence == nullptr || sequence->flavour == Sequence::Flavour::kGenerator) {
    fail(fmt::format("a value of type {} has no length", value.kind_name()));
  }
  return static_cast<std::int64_t>(sequence->items.size());
}

Value Runtime::call(const Value& function, const Arguments& arguments) {
  if (function.is_undefined()) fail_undefined(function);
  const Callable* callable = function.callable();
  if (callable == nullptr) fail(fmt::format("a value of type {} cannot be called", function.kind_name()));
  const Descent descent(*this);
  spend();
  return callable->body(*this, arguments);
}

const std::string& Runtime::text_of(const Value& value, std::string_view what) const {
  if (value.is_undefined()) fail_undefined(value);
  if (!value.is_string()) fail(fmt::format("{} must be a text, not {}", what, value.kind_name()));
  return value.text();
}

std::int64_t Runtime::integer_of(const Value& value, std::string_view what) const {
  if (value.is_undefined()) fail_undefined(value);
  if (!value.is_integer() && !value.is_boolean()) {
    fail(fmt::format("{} must be a whole number, not {}", what, value.kind_name()));
  }
  return value.integer();
}

}  // namespace kinglet::jinja
