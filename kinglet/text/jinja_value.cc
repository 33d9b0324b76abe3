#include "kinglet/text/jinja_value.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {
namespace {

using Flavour = Sequence::Flavour;

int checked_depth(int depth) {
  if (depth > kMaxNesting) {
    throw bad_input("chat template", fmt::format("values are nested more than {} levels deep", kMaxNesting));
  }
  return depth;
}

template <typename Items, typename Depth>
int depth_over(const Items& items, const Depth& depth) {
  int deepest = 0;
  for (const auto& item : items) deepest = std::max(deepest, depth(item));
  return checked_depth(deepest + 1);
}

bool equal_sequences(const Sequence& a, const Sequence& b, std::int64_t& steps) {
  if (&a == &b) return true;
  if (a.flavour != b.flavour || a.items.size() != b.items.size()) return false;
  if (a.flavour == Flavour::kValues || a.flavour == Flavour::kGenerator) return false;  // equal only to themselves
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(),
                    [&](const Value& x, const Value& y) { return equal(x, y, steps); });
}

bool equal_dicts(const Dict& a, const Dict& b, std::int64_t& steps) {
  if (&a == &b) return true;
  if (a.items.size() != b.items.size()) return false;
  return std::all_of(a.items.begin(), a.items.end(), [&](const auto& item) {
    return std::any_of(b.items.begin(), b.items.end(), [&](const auto& other) {
      return equal(item.first, other.first, steps) && equal(item.second, other.second, steps);
    });
  });
}

Value from_json_at(const nlohmann::ordered_json& json, int level);

std::string checked_text(const std::string& text) {
  if (!is_utf8(text)) throw bad_input("chat template", "a text of the conversation is not valid UTF-8");
  return text;
}

Value from_json_object(const nlohmann::ordered_json& json, int level) {
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [key, value] : json.items()) items.emplace_back(checked_text(key), from_json_at(value, level + 1));
  return make_dict(std::move(items));
}

Value from_json_at(const nlohmann::ordered_json& json, int level) {
  checked_depth(level);
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return json.get<bool>();
    case nlohmann::ordered_json::value_t::number_integer:
      return json.get<std::int64_t>();
    case nlohmann::ordered_json::value_t::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        throw bad_input("chat template", fmt::format("the number {} is too large", number));
      }
      return static_cast<std::int64_t>(number);
    }
    case nlohmann::ordered_json::value_t::number_float:
      return json.get<double>();
    case nlohmann::ordered_json::value_t::string:
      return checked_text(json.get_ref<const std::string&>());
    case nlohmann::ordered_json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(from_json_at(item, level + 1));
      return make_list(std::move(items));
    }
    case nlohmann::ordered_json::value_t::object:
      return from_json_object(json, level);
    default:
      return None{};
  }
}

}  // namespace

const Value* Dict::find(std::string_view key) const {
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const auto& item) { return item.first.is_string() && item.first.text() == key; });
  return found == items.end() ? nullptr : &found->second;
}

const Value* Namespace::find(std::string_view name) const {
  const auto found =
      std::find_if(attributes.begin(), attributes.end(), [&](const auto& item) { return item.first == name; });
  return found == attributes.end() ? nullptr : &found->second;
}

void Namespace::set(std::string_view name, Value value) {
  const auto found =
      std::find_if(attributes.begin(), attributes.end(), [&](const auto& item) { return item.first == name; });
  if (found == attributes.end())
    attributes.emplace_back(std::string(name), std::move(value));
  else
    found->second = std::move(value);
}

const Value* Arguments::find(std::size_t place, std::string_view name) const {
  if (place < positional.size()) return &positional[place];
  const auto found = std::find_if(named.begin(), named.end(), [&](const auto& item) { return item.first == name; });
  return found == named.end() ? nullptr : &found->second;
}

int Value::depth() const {
  if (const Sequence* items = sequence()) return items->depth;
  if (const Dict* items = dict()) return items->depth;
  if (const Callable* function = callable()) return function->depth;
  if (const Loop* state = loop()) return state->depth;
  return 0;
}

bool Value::same_object(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  if (is_boolean()) return boolean() == other.boolean();
  if (is_integer()) return integer() == other.integer();
  if (is_string()) return &text() == &other.text();
  if (sequence() != nullptr) return sequence() == other.sequence();
  if (dict() != nullptr) return dict() == other.dict();
  if (name_space() != nullptr) return name_space() == other.name_space();
  return is_none();
}

std::string_view Value::kind_name() const {
  static constexpr std::string_view kFlavours[] = {"list",        "tuple",      "range",    "dict_keys",
                                                   "dict_values", "dict_items", "generator"};
  if (const Sequence* items = sequence()) return kFlavours[static_cast<std::size_t>(items->flavour)];
  static constexpr std::string_view kKinds[] = {"Undefined", "NoneType", "bool",     "int",         "float",    "str",
                                                "list",      "dict",     "function", "LoopContext", "Namespace"};
  return kKinds[data_.index()];
}

Value undefined(std::string why) { return Undefined{std::make_shared<const std::string>(std::move(why))}; }

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_number()) return value.number() != 0;
  if (value.is_string()) return !value.text().empty();
  if (const Sequence* items = value.sequence()) {
    return items->flavour == Sequence::Flavour::kGenerator || !items->items.empty();
  }
  if (const Dict* items = value.dict()) return !items->items.empty();
  return true;
}

Value make_sequence(Sequence::Flavour flavour, std::vector<Value> items) {
  auto result = std::make_shared<Sequence>();
  result->flavour = flavour;
  result->depth = depth_over(items, [](const Value& item) { return item.depth(); });
  result->items = std::move(items);
  return std::shared_ptr<const Sequence>(std::move(result));
}

Value make_list(std::vector<Value> items) { return make_sequence(Sequence::Flavour::kList, std::move(items)); }
Value make_tuple(std::vector<Value> items) { return make_sequence(Sequence::Flavour::kTuple, std::move(items)); }

Value make_dict(std::vector<std::pair<Value, Value>> items) {
  auto result = std::make_shared<Dict>();
  result->depth = depth_over(items, [](const auto& item) { return std::max(item.first.depth(), item.second.depth()); });
  result->items = std::move(items);
  return std::shared_ptr<const Dict>(std::move(result));
}

Value make_callable(std::string name, std::function<Value(Runtime&, const Arguments&)> body, int held_depth) {
  auto result = std::make_shared<Callable>();
  result->name = std::move(name);
  result->body = std::move(body);
  result->depth = checked_depth(held_depth + 1);
  return std::shared_ptr<const Callable>(std::move(result));
}

bool equal(const Value& a, const Value& b, std::int64_t& steps) {
  if (--steps < 0) return false;
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_number() && b.is_number()) {
    return a.is_float() || b.is_float() ? a.number() == b.number() : a.integer() == b.integer();
  }
  if (a.is_string() && b.is_string()) {
    steps -= static_cast<std::int64_t>(std::min(a.text().size(), b.text().size()) / 64);
    return a.text() == b.text();
  }
  if (a.sequence() != nullptr && b.sequence() != nullptr) return equal_sequences(*a.sequence(), *b.sequence(), steps);
  if (a.dict() != nullptr && b.dict() != nullptr) return equal_dicts(*a.dict(), *b.dict(), steps);
  return a.same_object(b);
}

Value from_json(const nlohmann::ordered_json& json) { return from_json_at(json, 0); }

}  // namespace kinglet::jinja
