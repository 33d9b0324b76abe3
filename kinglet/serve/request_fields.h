// Typed access to the JSON body of a request; whatever is wrong becomes an ApiError with the field's path in `param`.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/serve/api_error.h"

namespace kinglet {

// One object; the JSON must outlive it. Null is the same as missing everywhere, as clients send it for what is not set.
class RequestFields {
 public:
  // Raises ApiError 400 when `value` is no object.
  explicit RequestFields(const nlohmann::json& value, std::string path = {});

  std::string path_of(std::string_view field) const;
  ApiError wrong(std::string_view field, std::string_view what, std::string code = "invalid_value") const;

  bool has(std::string_view field) const { return find(field) != nullptr; }
  const nlohmann::json* find(std::string_view field) const;  // null when missing

  std::optional<std::string> text(std::string_view field) const;
  std::optional<bool> boolean(std::string_view field) const;
  // Numbers with a zero fraction are integers too.
  std::optional<std::int64_t> integer(std::string_view field, std::int64_t low, std::int64_t high) const;
  std::optional<double> number(std::string_view field, double low, double high) const;
  std::optional<RequestFields> object(std::string_view field) const;

 private:
  const nlohmann::json* value_;
  std::string path_;
};

std::optional<std::int64_t> whole_number(const nlohmann::json& value);

}  // namespace kinglet
