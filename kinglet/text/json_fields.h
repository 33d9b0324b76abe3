// Reading the small JSON objects of tokenizer files: typed access that names the place when something is wrong.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet {

// A view of one JSON value and the place where it stands ("tokenizer.json: pre_tokenizer"). The JSON must outlive it.
class JsonFields {
 public:
  // Raises Error (bad input) when `value` is no object.
  JsonFields(const nlohmann::json& value, std::string where);

  const std::string& where() const { return where_; }
  // An error about this object.
  Error wrong(std::string_view what) const { return bad_input(where_, what); }

  bool has(const char* field) const;  // there, and not null
  const nlohmann::json& value(const char* field) const;

  // Without a fallback a missing field is an error; another type always is.
  std::string text(const char* field) const;
  std::string text(const char* field, std::string fallback) const;
  bool boolean(const char* field, bool fallback) const;
  std::int64_t integer(const char* field, std::int64_t low, std::int64_t high) const;
  std::int64_t integer(const char* field, std::int64_t low, std::int64_t high, std::int64_t fallback) const;
  char32_t character(const char* field, char32_t fallback) const;  // a text of one character
  JsonFields object(const char* field) const;
  std::vector<JsonFields> objects(const char* field) const;  // a list; empty when missing

 private:
  const nlohmann::json* value_;
  std::string where_;
};

}  // namespace kinglet
