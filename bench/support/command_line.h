// The command line of a bench: unknown options and bad numbers are one line and exit code 2, as for `kinglet`.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <utility>

#include "kinglet/base/error.h"

namespace kinglet {

// Options that are counts: at least 1, with what stands there as the default.
template <typename Count>
void add_counts(CLI::App& app, std::initializer_list<std::pair<const char*, Count*>> options) {
  for (const auto& [name, count] : options) {
    app.add_option(name, *count)->check(CLI::Range(1, 1 << 30))->capture_default_str();
  }
}

// Reads the options that `app` knows, then runs the body.
inline int run_bench(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  try {
    app.parse(argc, argv);
    return body();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;  // --help is 0
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.exit_code();
  }
}

}  // namespace kinglet
