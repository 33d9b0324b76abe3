// kinglet reason serve: any endpoint, with a forest of reasoning trees in front of it. Needs no LibTorch.
#include <memory>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/cli/command.h"
#include "kinglet/cli/server_options.h"
#include "kinglet/llm/endpoint_model.h"
#include "kinglet/llm/scripted_model.h"
#include "kinglet/methods/fot/simulated_model.h"
#include "kinglet/serve/reasoning_proxy.h"

namespace kinglet::cli {
namespace {

struct ReasonServeArguments {
  std::string upstream, model, key_variable;
  int max_in_flight = 16;
  double timeout_seconds = 600, patience_seconds = 20;
  bool max_completion_tokens = false, simulate = false;
  ServerArguments server;
};

std::chrono::milliseconds whole_milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

EndpointOptions upstream_of(const ReasonServeArguments& arguments) {
  if (arguments.upstream.empty()) throw bad_input("--upstream", "is missing", "the URL of an endpoint, or --simulate");
  if (arguments.model.empty()) throw bad_input("--model", "is missing", "the model's name at the upstream");
  EndpointOptions endpoint;
  endpoint.base_url = arguments.upstream;
  endpoint.model = arguments.model;
  endpoint.max_completion_tokens = arguments.max_completion_tokens;
  endpoint.admission.max_in_flight = arguments.max_in_flight;
  endpoint.attempt_timeout = whole_milliseconds(arguments.timeout_seconds);
  // Somebody waits for the answer: better an error soon than an answer some day.
  endpoint.unreachable_limit = whole_milliseconds(arguments.patience_seconds);
  endpoint.throttled_limit = whole_milliseconds(arguments.timeout_seconds);
  if (!arguments.key_variable.empty()) endpoint.api_key = ApiKey::from_environment(arguments.key_variable);
  return endpoint;
}

int serve_forests(ChatModel& upstream, const ReasonServeArguments& arguments, const Globals& globals) {
  const ServerSettings settings = server_settings(arguments.server);
  warn_about_openness(settings);
  ReasoningProxy proxy(upstream, settings.api);
  serve_until(
      proxy, settings, [&](const HttpServer& server) { tell_address(server, forest_name(upstream.name()), globals); },
      [] { return interrupted(); });
  return 0;
}

int run_reason_serve(const ReasonServeArguments& arguments, const Globals& globals) {
  if (arguments.simulate) {
    ScriptedModel dice(fot::SimulatedModel(), ScriptedModel::Options{.name = "simulated", .replies_per_poll = 1});
    return serve_forests(dice, arguments, globals);
  }
  HttpClient client;
  EndpointModel upstream(client, upstream_of(arguments));
  return serve_forests(upstream, arguments, globals);
}

}  // namespace

void add_reason_serve_command(CLI::App& reason, const Globals& globals) {
  auto arguments = std::make_shared<ReasonServeArguments>();
  CLI::App* command =
      add_command(reason, "serve", "Serve an endpoint's model as one that reasons with a forest",
                  "kinglet reason serve --upstream http://127.0.0.1:8081/v1 --model qwen   # ask for fot-qwen",
                  [arguments, &globals] { return run_reason_serve(*arguments, globals); });
  command->add_option("--upstream", arguments->upstream, "OpenAI-compatible endpoint (http://127.0.0.1:8081/v1)")
      ->type_name("URL");
  command->add_option("--model", arguments->model, "The model's name there; clients ask for fot-NAME")
      ->type_name("NAME");
  command->add_option("--key-from", arguments->key_variable, "Environment variable that holds the upstream's key")
      ->type_name("NAME");
  command->add_option("--max-in-flight", arguments->max_in_flight, "Calls to the upstream at once")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--timeout", arguments->timeout_seconds, "Seconds for a call to the upstream")
      ->check(CLI::Range(1.0, 86400.0))
      ->capture_default_str();
  command->add_option("--patience", arguments->patience_seconds, "Seconds in which the upstream must be reached")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->add_flag("--max-completion-tokens", arguments->max_completion_tokens,
                    "Send this name in place of max_tokens");
  command->add_flag("--simulate", arguments->simulate, "Dice in place of a model: to try the server and its page out");
  add_server_options(*command, arguments->server);
  add_reasoning_options(*command, arguments->server.server.api.reasoning);
}

}  // namespace kinglet::cli
