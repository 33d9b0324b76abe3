// Values as text: as Python's str() and repr() print them, and as JSON the way json.dumps does.
#pragma once

#include <optional>
#include <string>

#include "kinglet/text/jinja_runtime.h"
#include "kinglet/text/jinja_value.h"

namespace kinglet::jinja {

std::string to_text(Runtime& runtime, const Value& value);  // "" for an undefined value
std::string to_repr(Runtime& runtime, const Value& value);
std::string float_text(double value);  // the shortest that reads back the same

struct JsonStyle {
  std::optional<std::string> indent;  // of one level; nothing: everything in one line
  std::string item_separator = ", ", key_separator = ": ";
  bool ascii_only = false;
  bool sort_keys = false;
};
// Raises Error for what JSON cannot say (undefined values, functions, views).
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace kinglet::jinja
