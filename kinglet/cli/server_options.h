// Options of the commands that run a server of the API: where it listens, who may use it, its limits.
#pragma once

#include <cstdint>
#include <string>

#include "kinglet/cli/command.h"
#include "kinglet/serve/run_server.h"

namespace kinglet::cli {

struct ServerArguments {
  ServerSettings server;
  std::string key_file;
  std::int64_t max_body = 8 << 20;
  double grace_seconds = 10;
};

void add_server_options(CLI::App& command, ServerArguments& arguments);
void add_reasoning_options(CLI::App& command, ReasoningLimits& limits);

// Reads the key. Raises Error (bad input).
ServerSettings server_settings(const ServerArguments& arguments);

// The warning that is due when everyone who reaches this machine may use what costs money or time.
void warn_about_openness(const ServerSettings& settings);

// Programs read the address from stdout; it must be there at once.
void tell_address(const HttpServer& server, const std::string& model, const Globals& globals);

}  // namespace kinglet::cli
