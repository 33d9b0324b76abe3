// The command line of a bench: unknown options and bad numbers are one line and exit code 2, as for `kinglet`.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>

#include "kinglet/base/error.h"

namespace kinglet {

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
