// JSON from files that are not trusted.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace kinglet {

using Json = nlohmann::ordered_json;

// Raises Error (bad input) that names `where` for text that is no JSON or is nested more than 100 levels deep.
Json parse_json(std::string_view text, std::string_view where);

// "an object", "a text": what a value is, for messages.
std::string_view json_kind(const Json& json);

}  // namespace kinglet
