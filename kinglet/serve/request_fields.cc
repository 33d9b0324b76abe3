#include "kinglet/serve/request_fields.h"

#include <cmath>

#include <fmt/format.h>

#include "kinglet/text/sorted_json.h"

namespace kinglet {

std::optional<std::int64_t> whole_number(const nlohmann::json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (!(std::abs(number) <= kExact) || number != std::floor(number)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

RequestFields::RequestFields(const nlohmann::json& value, std::string path) : value_(&value), path_(std::move(path)) {
  if (!value.is_object()) {
    throw ApiError(400,
                   fmt::format("Invalid type for '{}': expected an object, but got {}.", path_.empty() ? "body" : path_,
                               json_kind(value)),
                   path_, "invalid_type");
  }
}

std::string RequestFields::path_of(std::string_view field) const {
  return path_.empty() ? std::string(field) : fmt::format("{}.{}", path_, field);
}

ApiError RequestFields::wrong(std::string_view field, std::string_view what, std::string code) const {
  const std::string path = path_of(field);
  return {400, fmt::format("Invalid value for '{}': {}.", path, what), path, std::move(code)};
}

const nlohmann::json* RequestFields::find(std::string_view field) const {
  const auto found = value_->find(field);
  return found == value_->end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> RequestFields::text(std::string_view field) const {
  const nlohmann::json* value = find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    throw wrong(field, fmt::format("expected a text, but got {}", json_kind(*value)), "invalid_type");
  }
  return value->get<std::string>();
}

std::optional<bool> RequestFields::boolean(std::string_view field) const {
  const nlohmann::json* value = find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) {
    throw wrong(field, fmt::format("expected true or false, but got {}", json_kind(*value)), "invalid_type");
  }
  return value->get<bool>();
}

std::optional<std::int64_t> RequestFields::integer(std::string_view field, std::int64_t low, std::int64_t high) const {
  const nlohmann::json* value = find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    throw wrong(field, fmt::format("expected an integer, but got {}", json_kind(*value)), "invalid_type");
  }
  const auto number = whole_number(*value);
  if (!number || *number < low || *number > high) {
    throw wrong(field, fmt::format("expected an integer from {} to {}", low, high), "integer_out_of_range");
  }
  return number;
}

std::optional<double> RequestFields::number(std::string_view field, double low, double high) const {
  const nlohmann::json* value = find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    throw wrong(field, fmt::format("expected a number, but got {}", json_kind(*value)), "invalid_type");
  }
  const auto number = value->get<double>();
  if (!(number >= low && number <= high)) {
    throw wrong(field, fmt::format("expected a number from {} to {}", low, high), "decimal_out_of_range");
  }
  return number;
}

std::optional<RequestFields> RequestFields::object(std::string_view field) const {
  const nlohmann::json* value = find(field);
  if (value == nullptr) return std::nullopt;
  return RequestFields(*value, path_of(field));
}

}  // namespace kinglet
