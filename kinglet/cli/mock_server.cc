// kinglet mock-server: a model server that answers nonsense and misbehaves as told.
#include "kinglet/llm/mock_server.h"

#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/cli/command.h"

namespace kinglet::cli {
namespace {

struct MockServerArguments {
  MockOptions options;
  std::string host = "127.0.0.1";
  int port = 8081;
  int latency_ms = 0, token_delay_ms = 0;
  std::map<std::string, double> faults;
};

MockFault fault_named(const std::string& name) {
  for (int i = 1; i < kMockFaults; ++i) {
    if (name_of(static_cast<MockFault>(i)) == name) return static_cast<MockFault>(i);
  }
  throw bad_input("--fault", fmt::format("'{}' is not known", name),
                  "rate-limit, server-error, reset, cut, malformed, empty-choices, error-inside or hang");
}

nlohmann::json in_json(const MockStatistics& seen) {
  return {{"requests", seen.requests},         {"accepted", seen.accepted},          {"answered", seen.answered},
          {"limited", seen.limited},           {"given_up", seen.given_up},          {"connections", seen.connections},
          {"most_at_once", seen.most_at_once}, {"billed_tokens", seen.billed_tokens}};
}

int run_server(MockServerArguments arguments, const Globals& globals) {
  arguments.options.latency = std::chrono::milliseconds(arguments.latency_ms);
  arguments.options.token_delay = std::chrono::milliseconds(arguments.token_delay_ms);
  double sum = 0;
  for (const auto& [name, rate] : arguments.faults) {
    arguments.options.rates[fault_named(name)] = rate;
    sum += rate;
  }
  if (sum > 1 + 1e-9) throw bad_input("--fault", "the rates add up to more than 1");
  const MockServer server(arguments.options, arguments.port, arguments.host);
  std::cerr << fmt::format("listening on {} (Ctrl-C ends it)\n", server.base_url());
  while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const MockStatistics seen = server.statistics();
  if (globals.json)
    print_json(in_json(seen));
  else
    std::cout << fmt::format("{} requests, {} accepted, {} answered, {} refused with 429, {} given up by the client\n",
                             seen.requests, seen.accepted, seen.answered, seen.limited, seen.given_up);
  return 0;
}

}  // namespace

void add_mock_server_command(CLI::App& app, const Globals& globals) {
  auto arguments = std::make_shared<MockServerArguments>();
  CLI::App* command = add_command(
      app, "mock-server", "An OpenAI-compatible server that answers nonsense and misbehaves as told, for tests",
      "kinglet mock-server --port 8081 --latency 50 --fault rate-limit=0.1 --fault cut=0.01 --retry-after 1",
      [arguments, &globals] { return run_server(*arguments, globals); });
  MockOptions& options = arguments->options;
  command->add_option("--port", arguments->port, "Where to listen (8081); 0 = any free port")
      ->check(CLI::Range(0, 65535));
  command->add_option("--host", arguments->host, "The address to listen on (127.0.0.1)")->type_name("IPV4");
  command->add_option("--model", options.model, "The model's name (mock)")->type_name("NAME");
  command->add_option("--tokens", options.tokens, "Words in a reply (8)")->check(CLI::Range(0, 100000));
  command->add_option("--latency", arguments->latency_ms, "Before an answer, in ms (0)")->check(CLI::Range(0, 3600000));
  command->add_option("--token-delay", arguments->token_delay_ms, "Between the words of a stream, in ms (0)")
      ->check(CLI::Range(0, 3600000));
  command->add_option("--bytes-at-once", options.bytes_at_once, "Answers drip in pieces of so many bytes")
      ->type_name("N");
  command->add_option("--max-concurrent", options.max_concurrent, "More calls at once get a 429; 0 = no limit")
      ->check(CLI::Range(0, 1000000));
  command->add_option("--retry-after", options.retry_after_seconds, "What a 429 asks for, in seconds")
      ->check(CLI::Range(0.0, 3600.0));
  command
      ->add_option_function<std::vector<std::string>>(
          "--fault",
          [arguments](const std::vector<std::string>& values) {
            for (const std::string& value : values) {
              const std::size_t equals = value.find('=');
              double rate = -1;
              try {
                if (equals != std::string::npos) rate = std::stod(value.substr(equals + 1));
              } catch (const std::exception&) {
              }
              if (!(rate >= 0 && rate <= 1)) throw CLI::ValidationError("--fault", "must look like cut=0.01");
              arguments->faults[value.substr(0, equals)] = rate;
            }
          },
          "How often something goes wrong: rate-limit, server-error, reset, cut, malformed, empty-choices, "
          "error-inside, hang")
      ->type_name("NAME=RATE");
  command
      ->add_option("--faults-a-request", options.max_faults_a_request, "The same body is served after so many faults")
      ->type_name("N");
  command->add_option("--seed", options.seed, "Of the draws of faults (1)")->type_name("N");
}

}  // namespace kinglet::cli
