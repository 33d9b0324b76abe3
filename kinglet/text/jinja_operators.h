// Operators of expressions with Python's meaning. All raise Error for operands of wrong types.
#pragma once

#include <string_view>

#include "kinglet/text/jinja_runtime.h"
#include "kinglet/text/jinja_value.h"

namespace kinglet::jinja {

Value negative(Runtime& runtime, const Value& value);
Value arithmetic(Runtime& runtime, std::string_view operation, const Value& a, const Value& b);  // + - * / // % **
bool compare(Runtime& runtime, std::string_view operation, const Value& a, const Value& b);      // == < in "not in" ...
bool less(Runtime& runtime, const Value& a, const Value& b);
bool contains(Runtime& runtime, const Value& container, const Value& item);

// value[key] and value.name: what is not there gives an undefined value; anything of an undefined value is an error.
Value item(Runtime& runtime, const Value& value, const Value& key);
Value attribute(Runtime& runtime, const Value& value, const std::string& name);
// value[begin:end:step] of texts and lists; a bound that is None is not given.
Value slice(Runtime& runtime, const Value& value, const Value& begin, const Value& end, const Value& step);

// "%s and %d" % values
Value format_text(Runtime& runtime, const std::string& format, const std::vector<Value>& values);

}  // namespace kinglet::jinja
