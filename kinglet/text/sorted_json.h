// JSON from the network. A Json (json_text.h) with n keys in one object takes time in proportion to n * n; here keys
// stand in the order of the alphabet, and a hostile text costs no more than its length.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace kinglet {

// Raises Error (bad input) that names `where` for text that is no JSON or is nested more than 100 levels deep.
nlohmann::json parse_sorted_json(std::string_view text, std::string_view where);

std::string_view json_kind(const nlohmann::json& json);  // as that of a Json

}  // namespace kinglet
