#include "kinglet/base/error.h"
#include "kinglet/cli/reason_options.h"
#include "kinglet/llm/scripted_model.h"

namespace kinglet::cli {

struct ReasonModels::Parts {
  std::unique_ptr<ChatModel> solver, expert;
};

ReasonModels::ReasonModels(const ReasonOptions& options, const fot::SimulatedModel& simulated,
                           const std::string& /*ledger*/)
    : parts_(std::make_unique<Parts>()) {
  if (!options.model.simulate) throw bad_input("--base-url", "endpoints are not built in yet", "--simulate");
  parts_->solver = std::make_unique<ScriptedModel>(simulated, ScriptedModel::Options{.name = "simulated"});
}

ReasonModels::~ReasonModels() = default;
ChatModel& ReasonModels::solver() { return *parts_->solver; }
ChatModel* ReasonModels::expert() { return parts_->expert.get(); }
std::string ReasonModels::spent() const { return {}; }

}  // namespace kinglet::cli
