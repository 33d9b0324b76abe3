// The models of kinglet reason: endpoints with a ledger beside the run file, or dice.
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/cli/reason_built_in.h"
#include "kinglet/cli/reason_options.h"
#include "kinglet/cli/serve_options.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/llm/endpoint_model.h"
#include "kinglet/llm/local_model.h"
#include "kinglet/llm/scripted_model.h"
#include "kinglet/llm/sqlite_ledger.h"

namespace kinglet::cli {

struct ReasonModels::Parts {
  HttpClient client;
  std::optional<SqliteLedger> ledger;
  CostMeter meter;
  std::unique_ptr<ChatModel> solver, expert;
};

namespace {

EndpointOptions endpoint_of(const ModelOptions& options, const ReasonOptions& all) {
  if (options.model.empty()) throw bad_input("--model", "is missing", "the model's name at the endpoint");
  EndpointOptions endpoint;
  endpoint.base_url = options.base_url;
  endpoint.model = options.model;
  endpoint.max_completion_tokens = all.model.max_completion_tokens;
  endpoint.admission.max_in_flight = all.model.max_in_flight;
  if (!options.key_variable.empty()) endpoint.api_key = ApiKey::from_environment(options.key_variable);
  return endpoint;
}

std::unique_ptr<ChatModel> local_model(const ModelOptions& options, int parallel) {
  if (!std::filesystem::exists(options.model)) {
    throw bad_input("--base-url", "is missing, and --model is no file or folder",
                    "an endpoint, a model, or --simulate");
  }
  auto* const open = reinterpret_cast<LocalModelEntry*>(find_torch_entry(kLocalModelEntryName));
  LocalEngine engine;
  open({.model = options.model, .chat_template = options.chat_template, .dtype = options.dtype}, parallel, engine);
  return std::make_unique<LocalModel>(std::move(engine));
}

}  // namespace

ReasonModels::ReasonModels(const ReasonOptions& options, const fot::SimulatedModel& simulated,
                           const std::string& ledger)
    : parts_(std::make_unique<Parts>()) {
  if (options.model.simulate) {
    parts_->solver = std::make_unique<ScriptedModel>(simulated, ScriptedModel::Options{.name = "simulated"});
    return;
  }
  if (!ledger.empty()) parts_->ledger.emplace(ledger);
  const auto open = [&](const ModelOptions& model) -> std::unique_ptr<ChatModel> {
    if (model.base_url.empty()) return local_model(model, options.model.max_in_flight);
    EndpointOptions endpoint = endpoint_of(model, options);
    endpoint.ledger = parts_->ledger ? &*parts_->ledger : nullptr;
    endpoint.meter = &parts_->meter;
    return std::make_unique<EndpointModel>(parts_->client, std::move(endpoint));
  };
  parts_->solver =
      asks_built_in_model(options) ? open_built_in_model(options.model.max_in_flight) : open(options.model);
  if (options.expert.base_url.empty() && options.expert.model.empty()) return;
  ModelOptions expert = options.expert;
  if (expert.base_url.empty() && !std::filesystem::exists(expert.model)) {
    expert.base_url = options.model.base_url;
    if (expert.key_variable.empty()) expert.key_variable = options.model.key_variable;
  }
  if (expert.model.empty()) expert.model = options.model.model;
  parts_->expert = open(expert);
}

ReasonModels::~ReasonModels() = default;
ChatModel& ReasonModels::solver() { return *parts_->solver; }
ChatModel* ReasonModels::expert() { return parts_->expert.get(); }

std::string ReasonModels::spent() const {
  const CallCosts costs = parts_->meter.total();
  if (costs.calls == 0) return {};
  return fmt::format(
      "{} requests sent, {} replies from the ledger, {} prompt and {} completion tokens paid now{}", costs.requests,
      costs.replayed, costs.usage.prompt, costs.usage.completion,
      costs.doubtful > 0 ? fmt::format("; {} requests may have been billed without an answer", costs.doubtful) : "");
}

}  // namespace kinglet::cli
