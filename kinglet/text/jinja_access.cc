// value[key], value.name and value[begin:end:step].
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "kinglet/text/jinja_builtins.h"
#include "kinglet/text/jinja_operators.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {
namespace {

using Flavour = Sequence::Flavour;

bool has_places(const Sequence& sequence) {
  return sequence.flavour == Flavour::kList || sequence.flavour == Flavour::kTuple ||
         sequence.flavour == Flavour::kRange;
}

Value missing_item(const Value& value, const Value& key) {
  if (value.is_none()) return undefined("'None' has no items");
  if (key.is_string())
    return undefined(fmt::format("'{} object' has no attribute '{}'", value.kind_name(), key.text()));
  return undefined(fmt::format("{} object has no such element", value.kind_name()));
}

Value character(Runtime& runtime, const std::string& text, std::int64_t place, const Value& missing) {
  runtime.spend(text.size() / 64);
  const auto count = static_cast<std::int64_t>(count_code_points(text));
  if (place < 0) place += count;
  if (place < 0 || place >= count) return missing;
  std::size_t at = 0;
  for (; place > 0; --place) at = next_code_point(text, at);
  return std::string(text, at, next_code_point(text, at) - at);
}

// The item alone, without attributes; nothing when it is not there.
Value plain_item(Runtime& runtime, const Value& value, const Value& key) {
  if (const Dict* dict = value.dict()) {
    const Value* found = runtime.find(*dict, key);
    return found == nullptr ? missing_item(value, key) : *found;
  }
  if (!key.is_integer() && !key.is_boolean()) return missing_item(value, key);
  std::int64_t place = key.integer();
  if (value.is_string()) return character(runtime, value.text(), place, missing_item(value, key));
  const Sequence* sequence = value.sequence();
  if (sequence == nullptr || !has_places(*sequence)) return missing_item(value, key);
  const auto count = static_cast<std::int64_t>(sequence->items.size());
  if (place < 0) place += count;
  if (place < 0 || place >= count) return missing_item(value, key);
  return sequence->items[static_cast<std::size_t>(place)];
}

Value loop_attribute(const Loop& loop, std::string_view name) {
  const std::vector<Value>& items = loop.items->items;
  const auto index = static_cast<std::int64_t>(loop.index), count = static_cast<std::int64_t>(items.size());
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return count - index;
  if (name == "revindex0") return count - index - 1;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 == count;
  if (name == "length") return count;
  if (name == "depth") return std::int64_t{1};  // counts recursive loops, which are not supported
  if (name == "depth0") return std::int64_t{0};
  if (name == "previtem") return index > 0 ? items[loop.index - 1] : undefined("there is no previous item");
  if (name == "nextitem") return index + 1 < count ? items[loop.index + 1] : undefined("there is no next item");
  return undefined(fmt::format("'loop' has no attribute '{}'", name));
}

// The bounds of a slice as Python clips them.
struct Bounds {
  std::int64_t begin, end, step;
};

Bounds clip(Runtime& runtime, std::int64_t count, const Value& begin, const Value& end, const Value& step) {
  const auto given = [&](const Value& value) { return runtime.integer_of(value, "a bound of a slice"); };
  Bounds bounds{};
  bounds.step = step.is_none() ? 1 : given(step);
  if (bounds.step == 0) runtime.fail("the step of a slice is zero");
  bounds.step = std::max(bounds.step, -std::numeric_limits<std::int64_t>::max());
  const bool forward = bounds.step > 0;
  const std::int64_t lowest = forward ? 0 : -1, highest = forward ? count : count - 1;
  const auto place = [&](const Value& value, std::int64_t otherwise) {
    if (value.is_none()) return otherwise;
    std::int64_t at = given(value);
    if (at < 0) at += count;
    return std::clamp(at, lowest, highest);
  };
  bounds.begin = place(begin, forward ? 0 : count - 1);
  bounds.end = place(end, forward ? count : -1);
  return bounds;
}

template <typename Take>
void for_each_place(const Bounds& bounds, const Take& take) {
  std::int64_t at = bounds.begin;
  while (bounds.step > 0 ? at < bounds.end : at > bounds.end) {
    take(static_cast<std::size_t>(at));
    if (__builtin_add_overflow(at, bounds.step, &at)) break;
  }
}

Value slice_text(Runtime& runtime, const std::string& text, const Value& begin, const Value& end, const Value& step) {
  runtime.spend(text.size() / 8);
  const Bounds bounds = clip(runtime, static_cast<std::int64_t>(count_code_points(text)), begin, end, step);
  std::string result;
  if (bounds.step == 1) {  // by far the most: without a list of the characters
    std::int64_t place = 0;
    for (std::size_t at = 0; at < text.size() && place < bounds.end; ++place) {
      const std::size_t next = next_code_point(text, at);
      if (place >= bounds.begin) result.append(text, at, next - at);
      at = next;
    }
    return runtime.text(std::move(result));
  }
  runtime.spend_bytes(text.size() * sizeof(std::string_view));
  const std::vector<std::string_view> all = characters(text);
  for_each_place(bounds, [&](std::size_t at) { result += all[at]; });
  return runtime.text(std::move(result));
}

}  // namespace

Value item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is_undefined()) runtime.fail_undefined(value);
  Value found = plain_item(runtime, value, key);
  if (!found.is_undefined() || !key.is_string()) return found;
  if (const Value* own = value.name_space() == nullptr ? nullptr : value.name_space()->find(key.text())) return *own;
  if (value.loop() != nullptr) return loop_attribute(*value.loop(), key.text());
  Value method = find_method(runtime, value, key.text());
  return method.is_none() ? found : method;
}

Value attribute(Runtime& runtime, const Value& value, const std::string& name) {
  if (value.is_undefined()) runtime.fail_undefined(value);
  if (value.name_space() != nullptr) {
    const Value* found = value.name_space()->find(name);
    return found == nullptr ? undefined(fmt::format("'namespace object' has no attribute '{}'", name)) : *found;
  }
  if (value.loop() != nullptr) {
    Value method = find_method(runtime, value, name);
    return method.is_none() ? loop_attribute(*value.loop(), name) : method;
  }
  Value method = find_method(runtime, value, name);
  return method.is_none() ? plain_item(runtime, value, name) : method;
}

Value slice(Runtime& runtime, const Value& value, const Value& begin, const Value& end, const Value& step) {
  if (value.is_undefined()) runtime.fail_undefined(value);
  if (value.is_string()) {
    return slice_text(runtime, value.text(), begin, end, step);
  }
  const Sequence* sequence = value.sequence();
  if (sequence == nullptr || !has_places(*sequence)) {
    runtime.fail(fmt::format("a value of type {} cannot be cut by a slice", value.kind_name()));
  }
  std::vector<Value> result;
  for_each_place(clip(runtime, static_cast<std::int64_t>(sequence->items.size()), begin, end, step),
                 [&](std::size_t at) { result.push_back(sequence->items[at]); });
  return runtime.sequence(sequence->flavour, std::move(result));
}

}  // namespace kinglet::jinja
