// Runs a parsed template.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "kinglet/text/jinja_runtime.h"
#include "kinglet/text/jinja_syntax.h"
#include "kinglet/text/jinja_value.h"

namespace kinglet::jinja {

struct Output {
  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> generations;  // bytes [begin, end) of {% generation %} blocks
};

// `variables` are what the template sees beside the built-in functions. Raises Error (bad input) with `where` and the
// line for whatever goes wrong, and when a limit is reached.
Output evaluate(const Statements& program, std::vector<std::pair<std::string, Value>> variables, const Limits& limits,
                const std::string& where);

}  // namespace kinglet::jinja
