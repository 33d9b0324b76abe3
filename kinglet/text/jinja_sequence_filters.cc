// Filters that look at lists and dictionaries.
#include <algorithm>

#include <fmt/format.h>

#include "kinglet/text/jinja_builtins.h"
#include "kinglet/text/jinja_format.h"
#include "kinglet/text/jinja_operators.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {
namespace {

// "a.b.0": the item of each part in turn.
Value at_path(Runtime& runtime, const Value& value, const Value& path) {
  if (path.is_integer()) return item(runtime, value, path);
  Value at = value;
  static const std::string kDot = ".";
  for (const std::string& part : split_text(runtime, runtime.text_of(path, "an attribute"), &kDot, -1)) {
    const bool is_number = !part.empty() && part.size() < 10 &&
                           std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    runtime.spend();
    at = item(runtime, at, is_number ? Value(static_cast<std::int64_t>(std::stoll(part))) : Value(part));
  }
  return at;
}

Value length(Runtime& runtime, const Value& value, const Arguments&) { return runtime.length(value); }

Value first(Runtime& runtime, const Value& value, const Arguments&) {
  const std::vector<Value> items = runtime.iterate(value);
  return items.empty() ? undefined("No first item, sequence was empty.") : items.front();
}

Value last(Runtime& runtime, const Value& value, const Arguments&) {
  const Sequence* sequence = value.sequence();
  if (sequence != nullptr && sequence->flavour == Sequence::Flavour::kGenerator) {
    runtime.fail("a generator has no last item");
  }
  const std::vector<Value> items = runtime.iterate(value);
  return items.empty() ? undefined("No last item, sequence was empty.") : items.back();
}

Value as_list(Runtime& runtime, const Value& value, const Arguments&) { return runtime.list(runtime.iterate(value)); }

Value items_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (value.is_undefined()) return runtime.generator({});
  if (value.dict() == nullptr) runtime.fail("the filter 'items' works on dictionaries only");
  return runtime.generator(runtime.iterate(runtime.call(find_method(runtime, value, "items"), arguments)));
}

Value join(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value *given = arguments.find(0, "d"), *path = arguments.find(1, "attribute");
  const std::string separator = given == nullptr ? std::string() : to_text(runtime, *given);
  std::string result;
  bool first_item = true;
  for (const Value& part : runtime.iterate(value)) {
    if (!std::exchange(first_item, false)) {
      runtime.spend_bytes(separator.size());
      result += separator;
    }
    const bool has_path = path != nullptr && !path->is_none();
    const std::string text = to_text(runtime, has_path ? at_path(runtime, part, *path) : part);
    runtime.spend_bytes(text.size());
    result += text;
  }
  return result;
}

Value reverse(Runtime& runtime, const Value& value, const Arguments&) {
  if (value.is_string()) return slice(runtime, value, Value(), Value(), std::int64_t{-1});
  const Sequence* sequence = value.sequence();
  if (value.is_undefined()) runtime.fail_undefined(value);
  if (sequence != nullptr && sequence->flavour == Sequence::Flavour::kGenerator) {
    runtime.fail("a generator cannot be reversed");
  }
  std::vector<Value> items = runtime.iterate(value);
  std::reverse(items.begin(), items.end());
  return runtime.generator(std::move(items));
}

// ---- order -----------------------------------------------------------------------------------------------------

Value without_case(Runtime& runtime, const Value& value, bool case_sensitive) {
  return value.is_string() && !case_sensitive ? runtime.text(to_lower(value.text())) : value;
}

bool flag(const Arguments& arguments, std::size_t place, std::string_view name) {
  const Value* given = arguments.find(place, name);
  return given != nullptr && truth(*given);
}

// The values that stand for the items in an order: themselves, or what an attribute gives, or several attributes.
std::vector<Value> sort_keys(Runtime& runtime, const std::vector<Value>& items, const Value* path,
                             bool case_sensitive) {
  static const std::string kComma = ",";
  const bool has_path = path != nullptr && !path->is_none();
  std::vector<std::string> parts;
  if (has_path && path->is_string()) parts = split_text(runtime, path->text(), &kComma, -1);
  std::vector<Value> keys;
  for (const Value& one : items) {
    if (parts.size() > 1) {
      std::vector<Value> several;
      for (const std::string& part : parts) {
        several.push_back(
            without_case(runtime, at_path(runtime, one, Value(std::string(strip(part)))), case_sensitive));
      }
      keys.push_back(make_tuple(std::move(several)));
    } else {
      keys.push_back(without_case(runtime, has_path ? at_path(runtime, one, *path) : one, case_sensitive));
    }
  }
  return keys;
}

// Stable, and safe for values that do not have an order: those raise Error.
std::vector<Value> sorted(Runtime& runtime, const std::vector<Value>& items, const std::vector<Value>& keys,
                          bool descending) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto before = [&](std::size_t a, std::size_t b) {
    return descending ? less(runtime, keys[b], keys[a]) : less(runtime, keys[a], keys[b]);
  };
  std::stable_sort(order.begin(), order.end(), before);
  std::vector<Value> result;
  result.reserve(items.size());
  for (const std::size_t i : order) result.push_back(items[i]);
  return result;
}

Value sort(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const std::vector<Value> items = runtime.iterate(value);
  const std::vector<Value> keys =
      sort_keys(runtime, items, arguments.find(2, "attribute"), flag(arguments, 1, "case_sensitive"));
  return runtime.list(sorted(runtime, items, keys, flag(arguments, 0, "reverse")));
}

Value sort_dict(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (value.dict() == nullptr) runtime.fail("the filter 'dictsort' works on dictionaries only");
  const Value* by = arguments.find(1, "by");
  const std::string what = by == nullptr ? "key" : runtime.text_of(*by, "what 'dictsort' sorts by");
  if (what != "key" && what != "value") runtime.fail("'dictsort' sorts by 'key' or 'value'");
  std::vector<Value> items, keys;
  for (const auto& [key, content] : value.dict()->items) {
    items.push_back(make_tuple({key, content}));
    keys.push_back(without_case(runtime, what == "key" ? key : content, flag(arguments, 0, "case_sensitive")));
  }
  return runtime.list(sorted(runtime, items, keys, flag(arguments, 2, "reverse")));
}

template <bool kGreatest>
Value extreme(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const std::vector<Value> items = runtime.iterate(value);
  if (items.empty()) return undefined("No aggregated item, sequence was empty.");
  const std::vector<Value> keys =
      sort_keys(runtime, items, arguments.find(1, "attribute"), flag(arguments, 0, "case_sensitive"));
  std::size_t best = 0;
  for (std::size_t i = 1; i < items.size(); ++i) {
    if (kGreatest ? less(runtime, keys[best], keys[i]) : less(runtime, keys[i], keys[best])) best = i;
  }
  return items[best];
}

Value unique(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const std::vector<Value> items = runtime.iterate(value);
  const std::vector<Value> keys =
      sort_keys(runtime, items, arguments.find(1, "attribute"), flag(arguments, 0, "case_sensitive"));
  std::vector<Value> seen, result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& one) { return runtime.equal(one, keys[i]); })) continue;
    seen.push_back(keys[i]);
    result.push_back(items[i]);
  }
  return runtime.generator(std::move(result));
}

Value sum(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value *path = arguments.find(0, "attribute"), *start = arguments.find(1, "start");
  Value total = start == nullptr ? Value(std::int64_t{0}) : *start;
  for (const Value& one : runtime.iterate(value)) {
    total = arithmetic(runtime, "+", total, path == nullptr || path->is_none() ? one : at_path(runtime, one, *path));
  }
  return total;
}

// ---- map and select --------------------------------------------------------------------------------------------

// What stands behind the first `skipped` arguments.
Arguments rest_of(const Arguments& arguments, std::size_t skipped) {
  Arguments rest;
  rest.named = arguments.named;
  for (std::size_t i = skipped; i < arguments.positional.size(); ++i)
    rest.positional.push_back(arguments.positional[i]);
  return rest;
}

Value map(Runtime& runtime, const Value& value, const Arguments& arguments) {
  std::vector<Value> result;
  if (arguments.positional.empty()) {
    const Value *path = arguments.find(0, "attribute"), *otherwise = arguments.find(1, "default");
    if (path == nullptr) runtime.fail("the filter 'map' takes a filter or an attribute");
    for (const Value& one : runtime.iterate(value)) {
      const Value found = at_path(runtime, one, *path);
      result.push_back(found.is_undefined() && otherwise != nullptr ? *otherwise : found);
    }
    return runtime.generator(std::move(result));
  }
  const std::string& name = runtime.text_of(arguments.positional[0], "the filter of 'map'");
  const Arguments rest = rest_of(arguments, 1);
  for (const Value& one : runtime.iterate(value)) result.push_back(apply_filter(runtime, name, one, rest));
  return runtime.generator(std::move(result));
}

template <bool kKept, bool kByAttribute>
Value select(Runtime& runtime, const Value& value, const Arguments& arguments) {
  constexpr std::size_t kTest = kByAttribute ? 1 : 0;
  if (kByAttribute && arguments.positional.empty()) runtime.fail("the name of an attribute is missing");
  const bool has_test = arguments.positional.size() > kTest;
  const std::string name =
      has_test ? runtime.text_of(arguments.positional[kTest], "the name of a test") : std::string();
  const Arguments rest = rest_of(arguments, kTest + 1);
  std::vector<Value> result;
  for (const Value& one : runtime.iterate(value)) {
    const Value looked_at = kByAttribute ? at_path(runtime, one, arguments.positional[0]) : one;
    const bool holds = has_test ? apply_test(runtime, name, looked_at, rest) : truth(looked_at);
    if (holds == kKept) result.push_back(one);
  }
  return runtime.generator(std::move(result));
}

Value attribute_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value* name = arguments.find(0, "name");
  if (name == nullptr) runtime.fail("the filter 'attr' takes a name");
  if (value.is_undefined()) runtime.fail_undefined(value);
  const std::string text = to_text(runtime, *name);
  if (value.dict() != nullptr) {  // attributes only, no keys
    Value method = find_method(runtime, value, text);
    return method.is_none() ? undefined(fmt::format("'dict object' has no attribute '{}'", text)) : method;
  }
  return attribute(runtime, value, text);
}

Value batch(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value *count = arguments.find(0, "linecount"), *fill = arguments.find(1, "fill_with");
  if (count == nullptr) runtime.fail("the filter 'batch' takes a number");
  const std::int64_t size = runtime.integer_of(*count, "the size of a batch");
  std::vector<Value> result, line;
  for (const Value& one : runtime.iterate(value)) {
    if (static_cast<std::int64_t>(line.size()) == size) result.push_back(runtime.list(std::exchange(line, {})));
    line.push_back(one);
  }
  if (!line.empty()) {
    const bool fills = fill != nullptr && !fill->is_none();
    runtime.spend(static_cast<std::uint64_t>(fills ? std::max<std::int64_t>(size, 0) : 0));
    while (fills && static_cast<std::int64_t>(line.size()) < size) line.push_back(*fill);
    result.push_back(runtime.list(std::move(line)));
  }
  return runtime.generator(std::move(result));
}

struct NamedSequenceFilter {
  std::string_view name;
  Filter filter;
};
constexpr NamedSequenceFilter kSequenceFilters[] = {
    {"length", length},
    {"count", length},
    {"first", first},
    {"last", last},
    {"list", as_list},
    {"items", items_filter},
    {"join", join},
    {"reverse", reverse},
    {"sort", sort},
    {"dictsort", sort_dict},
    {"min", extreme<false>},
    {"max", extreme<true>},
    {"unique", unique},
    {"sum", sum},
    {"map", map},
    {"select", select<true, false>},
    {"reject", select<false, false>},
    {"selectattr", select<true, true>},
    {"rejectattr", select<false, true>},
    {"attr", attribute_filter},
    {"batch", batch},
};

}  // namespace

Filter find_sequence_filter(std::string_view name) {
  const auto found = std::find_if(std::begin(kSequenceFilters), std::end(kSequenceFilters),
                                  [&](const NamedSequenceFilter& one) { return one.name == name; });
  return found == std::end(kSequenceFilters) ? nullptr : found->filter;
}

}  // namespace kinglet::jinja
