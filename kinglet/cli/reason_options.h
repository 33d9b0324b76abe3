// What `kinglet reason` is told.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kinglet/llm/chat_model.h"
#include "kinglet/methods/fot/reasoning_run.h"
#include "kinglet/methods/fot/simulated_model.h"

namespace kinglet::cli {

struct ModelOptions {
  std::string base_url, model;  // without base_url: a model of this machine, a folder or GGUF file
  std::string dtype = "fp32";   // of its weights
  std::string key_variable;     // environment variable with the key
  int max_in_flight = 16;
  bool max_completion_tokens = false;
  bool simulate = false;
};

struct ReasonOptions {
  std::string question, task = "generic", data, examples, out, report, read;
  std::size_t start = 0, limit = std::numeric_limits<std::size_t>::max();
  std::vector<std::string> arms;
  std::string base, stop = "lead", decision = "cged", step_rules = "exact";
  bool no_correction = false, no_examples = false, no_shuffle = false;
  int questions_at_once = 4;
  bool brief = false, force = false;
  double top_p = 0;
  fot::ForestSettings settings;
  ModelOptions model, expert;
};

// Models that a run asks, with what they stand on. Calls are kept in `ledger` (empty: nowhere), so that a run that is
// taken up again pays no call twice.
class ReasonModels {
 public:
  ReasonModels(const ReasonOptions& options, const fot::SimulatedModel& simulated, const std::string& ledger);
  ~ReasonModels();
  ChatModel& solver();
  ChatModel* expert();        // nullptr: the solver
  std::string spent() const;  // one line for people; empty when nothing was sent

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace kinglet::cli
