// Functions that every template sees.
#include <fmt/format.h>

#include "kinglet/text/jinja_builtins.h"
#include "kinglet/text/jinja_format.h"

namespace kinglet::jinja {
namespace {

constexpr std::int64_t kLongestRange = 100'000;  // as in Jinja's sandbox

Value range(Runtime& runtime, const Arguments& arguments) {
  const std::vector<Value>& given = arguments.positional;
  if (given.empty() || given.size() > 3) runtime.fail("range takes one to three numbers");
  const auto number = [&](std::size_t i) { return runtime.integer_of(given[i], "an argument of range"); };
  const std::int64_t begin = given.size() > 1 ? number(0) : 0, end = given.size() > 1 ? number(1) : number(0);
  const std::int64_t step = given.size() > 2 ? number(2) : 1;
  if (step == 0) runtime.fail("the step of range is zero");
  std::vector<Value> items;
  for (std::int64_t at = begin; step > 0 ? at < end : at > end;) {
    if (static_cast<std::int64_t>(items.size()) >= kLongestRange) {
      runtime.fail(fmt::format("a range of more than {} numbers", kLongestRange));
    }
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return runtime.sequence(Sequence::Flavour::kRange, std::move(items));
}

Value dict(Runtime& runtime, const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> items;
  const auto set = [&](const Value& key, const Value& value) {
    runtime.spend(1 + items.size() / 8);
    for (auto& [known, content] : items) {
      if (runtime.equal(known, key)) {
        content = value;
        return;
      }
    }
    items.emplace_back(key, value);
  };
  if (arguments.positional.size() > 1) runtime.fail("dict takes one dictionary or named arguments");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (const Dict* given = source.dict()) {
      for (const auto& [key, value] : given->items) set(key, value);
    } else {
      for (const Value& pair : runtime.iterate(source)) {
        const std::vector<Value> both = runtime.iterate(pair);
        if (both.size() != 2) runtime.fail("dict takes pairs of a key and a value");
        set(both[0], both[1]);
      }
    }
  }
  for (const auto& [key, value] : arguments.named) set(key, value);
  return runtime.dict(std::move(items));
}

Value raise_exception(Runtime& runtime, const Arguments& arguments) {
  const Value* message = arguments.find(0, "message");
  runtime.fail(message == nullptr ? "the template refuses the conversation" : to_text(runtime, *message),
               "the chat template refuses this conversation");
}

}  // namespace

std::vector<std::pair<std::string, Value>> global_functions() {
  return {{"range", make_callable("range", range)},
          {"dict", make_callable("dict", dict)},
          {"raise_exception", make_callable("raise_exception", raise_exception)}};
}

}  // namespace kinglet::jinja
