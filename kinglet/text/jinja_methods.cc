// Methods of texts, lists, dictionaries and loops, as Python has them.
#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "kinglet/text/jinja_builtins.h"
#include "kinglet/text/jinja_format.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {
namespace {

using Method = Value (*)(Runtime&, const Value& self, const Arguments&);
struct NamedMethod {
  std::string_view name;
  Method method;
};

// ---- texts -----------------------------------------------------------------------------------------------------

template <Ends kEnds>
Value strip_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value* set = arguments.find(0, "chars");
  if (set == nullptr || set->is_none()) return runtime.text(std::string(strip(self.text(), kEnds)));
  const std::string& characters = runtime.text_of(*set, "the argument of strip");
  runtime.spend((self.text().size() / 64 + 1) * (characters.size() / 8 + 1));
  return runtime.text(std::string(strip(self.text(), characters, kEnds)));
}

Value list_of_texts(Runtime& runtime, std::vector<std::string> texts) {
  std::vector<Value> items;
  for (std::string& text : texts) items.push_back(runtime.text(std::move(text)));
  return runtime.list(std::move(items));
}

struct Cuts {
  const std::string* separator = nullptr;
  std::int64_t most = -1;
};

Cuts cuts_of(Runtime& runtime, const Arguments& arguments) {
  Cuts cuts;
  if (const Value* given = arguments.find(0, "sep"); given != nullptr && !given->is_none()) {
    cuts.separator = &runtime.text_of(*given, "the separator");
    if (cuts.separator->empty()) runtime.fail("the separator of a split is empty");
  }
  if (const Value* given = arguments.find(1, "maxsplit")) cuts.most = runtime.integer_of(*given, "maxsplit");
  return cuts;
}

Value split_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Cuts cuts = cuts_of(runtime, arguments);
  runtime.spend(self.text().size() / 8);
  return list_of_texts(runtime, split_text(runtime, self.text(), cuts.separator, cuts.most));
}

std::string backwards(std::string_view text) { return {text.rbegin(), text.rend()}; }

// At white space from the right, at most `most` times.
std::vector<std::string> split_words_from_right(Runtime& runtime, std::string_view text, std::int64_t most) {
  std::vector<std::string> parts;
  for (text = strip(text, Ends::kRight); !text.empty(); text = strip(text, Ends::kRight)) {
    runtime.spend_bytes(kPartBytes);
    if (static_cast<std::int64_t>(parts.size()) == most) {
      parts.emplace_back(text);
      break;
    }
    std::size_t begin = text.size();
    while (begin > 0) {
      std::size_t before = begin - 1;
      while (before > 0 && (static_cast<unsigned char>(text[before]) & 0xC0U) == 0x80U) --before;
      if (is_space(code_point_at(text, before))) break;
      begin = before;
    }
    parts.emplace_back(text.substr(begin));
    text = text.substr(0, begin);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Value rsplit_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Cuts cuts = cuts_of(runtime, arguments);
  runtime.spend(self.text().size() / 8);
  if (cuts.most < 0) return list_of_texts(runtime, split_text(runtime, self.text(), cuts.separator, -1));
  if (cuts.separator == nullptr) return list_of_texts(runtime, split_words_from_right(runtime, self.text(), cuts.most));
  // What is split from the left when everything runs backwards.
  const std::string separator = backwards(*cuts.separator);
  std::vector<std::string> parts = split_text(runtime, backwards(self.text()), &separator, cuts.most);
  std::reverse(parts.begin(), parts.end());
  for (std::string& part : parts) part = backwards(part);
  return list_of_texts(runtime, std::move(parts));
}

Value splitlines_method(Runtime& runtime, const Value& self, const Arguments&) {
  runtime.spend(self.text().size() / 8);
  return list_of_texts(runtime, split_lines(runtime, self.text()));
}

template <bool kAtEnd>
Value affix_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value* given = arguments.find(0, "");
  if (given == nullptr || arguments.positional.size() > 1) runtime.fail("startswith and endswith take one argument");
  const auto fits = [&](const Value& affix) {
    const std::string& text = runtime.text_of(affix, "what a text starts or ends with");
    return kAtEnd ? self.text().ends_with(text) : self.text().starts_with(text);
  };
  if (given->sequence() == nullptr || given->sequence()->flavour != Sequence::Flavour::kTuple) return fits(*given);
  return std::any_of(given->sequence()->items.begin(), given->sequence()->items.end(), fits);
}

template <std::string (*kChange)(std::string_view)>
Value changed_method(Runtime& runtime, const Value& self, const Arguments&) {
  runtime.spend(self.text().size() / 8);
  return runtime.text(kChange(self.text()));
}

Value replace_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value *from = arguments.find(0, ""), *to = arguments.find(1, ""), *count = arguments.find(2, "count");
  if (from == nullptr || to == nullptr) runtime.fail("replace takes two texts");
  return replace_text(runtime, self.text(), runtime.text_of(*from, "what is replaced"),
                      runtime.text_of(*to, "what replaces"),
                      count == nullptr ? -1 : runtime.integer_of(*count, "the count of replace"));
}

const std::string& only_text(Runtime& runtime, const Arguments& arguments) {
  const Value* given = arguments.find(0, "");
  if (given == nullptr) runtime.fail("a text is missing in the call of a method");
  return runtime.text_of(*given, "the argument of the method");
}

Value place_of(std::string_view text, std::size_t byte) {
  if (byte == std::string_view::npos) return std::int64_t{-1};
  return static_cast<std::int64_t>(count_code_points(text.substr(0, byte)));
}

Value find_in_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string& part = only_text(runtime, arguments);
  runtime.spend(self.text().size() / 16);
  return place_of(self.text(), find_part(self.text(), part));
}
Value rfind_in_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string& part = only_text(runtime, arguments);
  runtime.spend(self.text().size() / 16);
  return place_of(self.text(), find_last_part(self.text(), part));
}
Value index_in_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  Value place = find_in_text(runtime, self, arguments);
  if (place.integer() < 0) runtime.fail("the text that 'index' looks for is not there");
  return place;
}

Value count_in_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string& part = only_text(runtime, arguments);
  runtime.spend(self.text().size() / 8);
  if (part.empty()) return static_cast<std::int64_t>(count_code_points(self.text()) + 1);
  std::int64_t count = 0;
  for (std::size_t at = find_part(self.text(), part); at != std::string::npos;
       at = find_part(self.text(), part, at + part.size())) {
    ++count;
  }
  return count;
}

Value join_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value* given = arguments.find(0, "");
  if (given == nullptr) runtime.fail("join takes a list");
  std::string result;
  bool first = true;
  for (const Value& part : runtime.iterate(*given)) {
    const std::string& text = runtime.text_of(part, "an item that is joined");
    runtime.spend_bytes(text.size() + self.text().size());
    if (!std::exchange(first, false)) result += self.text();
    result += text;
  }
  return result;
}

template <bool (*kBelongs)(char32_t)>
Value all_are(Runtime& runtime, const Value& self, const Arguments&) {
  runtime.spend(self.text().size() / 8);
  for (std::size_t at = 0; at < self.text().size(); at = next_code_point(self.text(), at)) {
    if (!kBelongs(code_point_at(self.text(), at))) return false;
  }
  return !self.text().empty();
}
bool is_letter_or_digit(char32_t c) { return is_letter(c) || is_digit(c); }

// Whether there are cased letters and all are of one kind.
template <bool (*kRight)(char32_t)>
Value text_is_in_case(Runtime& runtime, const Value& self, const Arguments&) {
  runtime.spend(self.text().size() / 8);
  bool any = false;
  for (std::size_t at = 0; at < self.text().size(); at = next_code_point(self.text(), at)) {
    const char32_t c = code_point_at(self.text(), at);
    if (!is_cased(c)) continue;
    if (!kRight(c)) return false;
    any = true;
  }
  return any;
}

template <bool kAtEnd>
Value remove_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string& affix = only_text(runtime, arguments);
  std::string_view text = self.text();
  if (kAtEnd && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!kAtEnd && text.starts_with(affix)) text.remove_prefix(affix.size());
  return runtime.text(std::string(text));
}

template <bool kFromRight>
Value partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string& separator = only_text(runtime, arguments);
  if (separator.empty()) runtime.fail("the separator of 'partition' is empty");
  const std::string& text = self.text();
  const std::size_t at = kFromRight ? find_last_part(text, separator) : find_part(text, separator);
  runtime.spend_bytes(text.size());
  if (at == std::string::npos) {
    return kFromRight ? make_tuple({std::string(), std::string(), self})
                      : make_tuple({self, std::string(), std::string()});
  }
  return make_tuple({text.substr(0, at), separator, text.substr(at + separator.size())});
}

enum class Side { kLeft, kRight, kCenter };
template <Side kSide>
Value justify(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value *width = arguments.find(0, "width"), *given = arguments.find(1, "fillchar");
  if (width == nullptr) runtime.fail("the width is missing");
  const std::string fill = given == nullptr ? " " : runtime.text_of(*given, "the character to fill with");
  if (count_code_points(fill) != 1) runtime.fail("the text to fill with must be one character");
  const auto length = static_cast<std::int64_t>(count_code_points(self.text()));
  const std::int64_t missing = std::max<std::int64_t>(0, runtime.integer_of(*width, "the width") - length);
  runtime.spend_bytes(self.text().size() + static_cast<std::uint64_t>(missing) * fill.size());
  std::int64_t left = kSide == Side::kLeft ? 0 : missing;
  if (kSide == Side::kCenter) left = missing / 2 + (missing & (missing + length) & 1);
  std::string result;
  for (std::int64_t i = 0; i < left; ++i) result += fill;
  result += self.text();
  for (std::int64_t i = left; i < missing; ++i) result += fill;
  return result;
}

constexpr NamedMethod kTextMethods[] = {
    {"strip", strip_method<Ends::kBoth>},
    {"lstrip", strip_method<Ends::kLeft>},
    {"rstrip", strip_method<Ends::kRight>},
    {"split", split_method},
    {"rsplit", rsplit_method},
    {"splitlines", splitlines_method},
    {"startswith", affix_method<false>},
    {"endswith", affix_method<true>},
    {"upper", changed_method<to_upper>},
    {"lower", changed_method<to_lower>},
    {"title", changed_method<title_text>},
    {"capitalize", changed_method<capitalized_text>},
    {"casefold", changed_method<to_lower>},
    {"replace", replace_method},
    {"find", find_in_text},
    {"rfind", rfind_in_text},
    {"index", index_in_text},
    {"count", count_in_text},
    {"join", join_method},
    {"isdigit", all_are<is_digit>},
    {"isdecimal", all_are<is_digit>},
    {"isnumeric", all_are<is_digit>},
    {"isalpha", all_are<is_letter>},
    {"isalnum", all_are<is_letter_or_digit>},
    {"isspace", all_are<is_space>},
    {"isupper", text_is_in_case<is_upper>},
    {"islower", text_is_in_case<is_lower>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"ljust", justify<Side::kLeft>},
    {"rjust", justify<Side::kRight>},
    {"center", justify<Side::kCenter>},
};

// ---- lists, dictionaries, loops --------------------------------------------------------------------------------

Value index_in_list(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value* item = arguments.find(0, "");
  if (item == nullptr) runtime.fail("index takes an argument");
  const std::vector<Value>& items = self.sequence()->items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (runtime.equal(items[i], *item)) return static_cast<std::int64_t>(i);
  }
  runtime.fail("the item that 'index' looks for is not there");
}

Value count_in_list(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value* item = arguments.find(0, "");
  if (item == nullptr) runtime.fail("count takes an argument");
  std::int64_t count = 0;
  for (const Value& one : self.sequence()->items) count += runtime.equal(one, *item) ? 1 : 0;
  return count;
}

Value same(Runtime&, const Value& self, const Arguments&) { return self; }

Value keys_of(Runtime& runtime, const Value& self, const Arguments&) {
  std::vector<Value> keys;
  for (const auto& [key, value] : self.dict()->items) keys.push_back(key);
  return runtime.sequence(Sequence::Flavour::kKeys, std::move(keys));
}
Value values_of(Runtime& runtime, const Value& self, const Arguments&) {
  std::vector<Value> values;
  for (const auto& [key, value] : self.dict()->items) values.push_back(value);
  return runtime.sequence(Sequence::Flavour::kValues, std::move(values));
}
Value items_of(Runtime& runtime, const Value& self, const Arguments&) {
  std::vector<Value> items;
  runtime.spend_bytes(self.dict()->items.size() * 4 * sizeof(Value));
  for (const auto& [key, value] : self.dict()->items) items.push_back(make_tuple({key, value}));
  return runtime.sequence(Sequence::Flavour::kItems, std::move(items));
}
Value get_from_dict(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value *key = arguments.find(0, ""), *otherwise = arguments.find(1, "");
  if (key == nullptr) runtime.fail("get takes a key");
  const Value* found = runtime.find(*self.dict(), *key);
  if (found != nullptr) return *found;
  return otherwise == nullptr ? Value() : *otherwise;
}

Value cycle(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty()) runtime.fail("loop.cycle takes at least one argument");
  return arguments.positional[self.loop()->index % arguments.positional.size()];
}

constexpr NamedMethod kListMethods[] = {{"index", index_in_list}, {"count", count_in_list}, {"copy", same}};
constexpr NamedMethod kTupleMethods[] = {{"index", index_in_list}, {"count", count_in_list}};
constexpr NamedMethod kDictMethods[] = {
    {"keys", keys_of}, {"values", values_of}, {"items", items_of}, {"get", get_from_dict}, {"copy", same}};
constexpr NamedMethod kLoopMethods[] = {{"cycle", cycle}};

constexpr std::string_view kListChanges[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};

template <std::size_t kCount>
Method find_in(const NamedMethod (&methods)[kCount], std::string_view name) {
  const auto found =
      std::find_if(std::begin(methods), std::end(methods), [&](const NamedMethod& one) { return one.name == name; });
  return found == std::end(methods) ? nullptr : found->method;
}

template <std::size_t kCount>
bool is_among(const std::string_view (&names)[kCount], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Method find_unbound(const Value& value, std::string_view name) {
  if (value.is_string()) return find_in(kTextMethods, name);
  if (value.dict() != nullptr) return find_in(kDictMethods, name);
  if (value.loop() != nullptr) return find_in(kLoopMethods, name);
  if (value.sequence() == nullptr) return nullptr;
  if (value.sequence()->flavour == Sequence::Flavour::kList) return find_in(kListMethods, name);
  if (value.sequence()->flavour == Sequence::Flavour::kTuple) return find_in(kTupleMethods, name);
  return nullptr;
}

}  // namespace

Value find_method(Runtime& runtime, const Value& value, std::string_view name) {
  const bool is_list = value.sequence() != nullptr && value.sequence()->flavour == Sequence::Flavour::kList;
  if ((is_list && is_among(kListChanges, name)) || (value.dict() != nullptr && is_among(kDictChanges, name))) {
    return undefined(
        fmt::format("'{}' of a {} is not allowed: values do not change in a chat template", name, value.kind_name()));
  }
  const Method method = find_unbound(value, name);
  if (method == nullptr) return None{};
  runtime.spend();
  runtime.spend_bytes(sizeof(Callable));
  return make_callable(
      std::string(name),
      [value, method](Runtime& running, const Arguments& arguments) { return method(running, value, arguments); },
      value.depth());
}

}  // namespace kinglet::jinja
