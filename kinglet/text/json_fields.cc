#include "kinglet/text/json_fields.h"

#include "kinglet/text/utf8.h"

namespace kinglet {

JsonFields::JsonFields(const nlohmann::json& value, std::string where) : value_(&value), where_(std::move(where)) {
  if (!value.is_object()) throw bad_input(where_, "must be a JSON object");
}

bool JsonFields::has(const char* field) const {
  const auto found = value_->find(field);
  return found != value_->end() && !found->is_null();
}

const nlohmann::json& JsonFields::value(const char* field) const {
  if (!has(field)) throw wrong(fmt::format("'{}' is missing", field));
  return *value_->find(field);
}

std::string JsonFields::text(const char* field) const {
  const nlohmann::json& found = value(field);
  if (!found.is_string()) throw wrong(fmt::format("'{}' must be a text", field));
  return found.get<std::string>();
}

std::string JsonFields::text(const char* field, std::string fallback) const {
  return has(field) ? text(field) : std::move(fallback);
}

bool JsonFields::boolean(const char* field, bool fallback) const {
  if (!has(field)) return fallback;
  const nlohmann::json& found = value(field);
  if (!found.is_boolean()) throw wrong(fmt::format("'{}' must be true or false", field));
  return found.get<bool>();
}

std::int64_t JsonFields::integer(const char* field, std::int64_t low, std::int64_t high) const {
  const nlohmann::json& found = value(field);
  if (found.is_number_integer() && !(found.is_number_unsigned() && found.get<std::uint64_t>() > INT64_MAX)) {
    const auto number = found.get<std::int64_t>();
    if (number >= low && number <= high) return number;
  }
  throw wrong(fmt::format("'{}' must be an integer from {} to {}", field, low, high));
}

std::int64_t JsonFields::integer(const char* field, std::int64_t low, std::int64_t high, std::int64_t fallback) const {
  return has(field) ? integer(field, low, high) : fallback;
}

char32_t JsonFields::character(const char* field, char32_t fallback) const {
  if (!has(field)) return fallback;
  const std::string found = text(field);
  const utf8::Character character = utf8::first_character(found);
  if (!character.valid || character.length != found.size()) {
    throw wrong(fmt::format("'{}' must be one character", field));
  }
  return character.code;
}

JsonFields JsonFields::object(const char* field) const { return {value(field), fmt::format("{}.{}", where_, field)}; }

std::vector<JsonFields> JsonFields::objects(const char* field) const {
  std::vector<JsonFields> result;
  if (!has(field)) return result;
  const nlohmann::json& list = value(field);
  if (!list.is_array()) throw wrong(fmt::format("'{}' must be a list", field));
  for (std::size_t i = 0; i < list.size(); ++i)
    result.emplace_back(list[i], fmt::format("{}.{}[{}]", where_, field, i));
  return result;
}

}  // namespace kinglet
