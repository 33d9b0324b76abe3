#include "kinglet/cli/server_options.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/log.h"

namespace kinglet::cli {
namespace {

constexpr const char* kKeyVariable = "KINGLET_API_KEY";
constexpr std::uint64_t kLongestKey = 8192;

std::string without_blanks(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  return begin == std::string::npos ? std::string() : text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// From the file, else from the environment: never from the command line, which every user of the machine can read.
std::string api_key_of(const ServerArguments& arguments) {
  std::string where = kKeyVariable, key;
  if (!arguments.key_file.empty()) {
    where = arguments.key_file;
    key = std::string(as_text(read_file(arguments.key_file, kLongestKey)));
  } else if (const char* value = std::getenv(kKeyVariable)) {
    key = value;
  } else {
    return {};
  }
  key = without_blanks(key);
  if (key.empty()) throw bad_input(where, "the API key is empty", "write one, or give none");
  for (const char c : key) {
    if (c <= ' ' || c > '~') throw bad_input(where, "the API key holds characters that a header cannot carry");
  }
  return key;
}

}  // namespace

void add_server_options(CLI::App& command, ServerArguments& arguments) {
  ServerSettings& server = arguments.server;
  command.add_option("--host", server.http.host, "The address to listen on; 0.0.0.0 = every one")
      ->check(CLI::ValidIPV4)
      ->type_name("IPV4")
      ->capture_default_str();
  command.add_option("--port", server.http.port, "Where to listen; 0 = any free port")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command
      .add_option("--api-key-file", arguments.key_file,
                  std::string("A file with the key that clients must know; otherwise ") + kKeyVariable +
                      " in the environment, otherwise none is needed")
      ->type_name("FILE");
  command
      .add_option("--allow-origin", server.api.allowed_origin,
                  "Where pages of other servers may come from, for example https://chat.example.org; * = anywhere")
      ->type_name("ORIGIN");
  command.add_option("--max-tokens", server.api.max_tokens, "Most new tokens of an answer; 0 = what fits")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30))
      ->capture_default_str();
  command.add_option("--max-body", arguments.max_body, "Most bytes of a request; more get a 413")
      ->check(CLI::Range(std::int64_t{1024}, std::int64_t{1} << 30))
      ->type_name("BYTES")
      ->capture_default_str();
  command.add_option("--max-connections", server.http.connections, "Clients at once; more get a 503")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--grace", arguments.grace_seconds, "Seconds for answers under way when the server ends")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
}

void add_reasoning_options(CLI::App& command, ReasoningLimits& limits) {
  command.add_option("--forests", limits.forests, "Forests of reasoning trees at once; more get a 429; 0 = none")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{10000}))
      ->capture_default_str();
  command.add_option("--max-trees", limits.trees, "Most trees of a forest")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1024}))
      ->capture_default_str();
  command.add_option("--max-calls", limits.calls, "Most calls of a forest, whatever its client asks for")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}))
      ->capture_default_str();
}

ServerSettings server_settings(const ServerArguments& arguments) {
  ServerSettings settings = arguments.server;
  settings.api.api_key = api_key_of(arguments);
  settings.api.loopback = is_loopback(settings.http.host);
  settings.http.limits.body = static_cast<std::size_t>(arguments.max_body);
  settings.grace = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.grace_seconds * 1000));
  return settings;
}

void warn_about_openness(const ServerSettings& settings) {
  if (is_loopback(settings.http.host) || !settings.api.api_key.empty()) return;
  log_warning("--host {}: everyone who reaches this machine may use the model; give --api-key-file",
              settings.http.host);
}

void tell_address(const HttpServer& server, const std::string& model, const Globals& globals) {
  if (globals.json) {
    print_json({{"url", server.url()}, {"port", server.port()}, {"model", model}});
  } else {
    fmt::print("serving {} at {} (API: {}/v1; Ctrl-C ends it)\n", printable(model), server.url(), server.url());
  }
  std::fflush(stdout);
}

}  // namespace kinglet::cli
