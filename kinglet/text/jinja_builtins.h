// The filters, tests, methods and functions that templates may use. All raise Error for arguments of wrong types.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kinglet/text/jinja_runtime.h"
#include "kinglet/text/jinja_value.h"

namespace kinglet::jinja {

using Filter = Value (*)(Runtime&, const Value& value, const Arguments&);
using Test = bool (*)(Runtime&, const Value& value, const Arguments&);

Filter find_text_filter(std::string_view name);      // jinja_text_filters.cc; null when there is none
Filter find_sequence_filter(std::string_view name);  // jinja_sequence_filters.cc
Test find_test(std::string_view name);               // jinja_tests.cc

// By name; an unknown name raises Error.
Value apply_filter(Runtime& runtime, std::string_view name, const Value& value, const Arguments& arguments);
bool apply_test(Runtime& runtime, std::string_view name, const Value& value, const Arguments& arguments);

// A method of a text, list, dictionary or loop, bound to it; None when there is none of this name. Methods that change
// their value give an undefined one: templates run in a sandbox in which values do not change.
Value find_method(Runtime& runtime, const Value& value, std::string_view name);

// range, dict, raise_exception; what needs the evaluator or the clock is added there.
std::vector<std::pair<std::string, Value>> global_functions();

// What several built-ins share: white space or `separator` cuts `text` at most `most` times (-1: everywhere).
inline constexpr std::uint64_t kPartBytes = 64;  // what a part of a list of texts costs before it is counted
std::vector<std::string> split_text(Runtime& runtime, std::string_view text, const std::string* separator,
                                    std::int64_t most);
std::vector<std::string> split_lines(Runtime& runtime, std::string_view text);
std::string replace_text(Runtime& runtime, std::string_view text, std::string_view from, std::string_view to,
                         std::int64_t most);
std::string title_text(std::string_view text);        // as str.title
std::string capitalized_text(std::string_view text);  // as str.capitalize

}  // namespace kinglet::jinja
