// [[model]], [budget] and [job] of a recipe: the models that a command asks, endpoints with their limits and prices or
// models of this machine, and the database where several machines share the calls.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/base/file_lock.h"
#include "kinglet/cli/serve_options.h"
#include "kinglet/io/recipe_reader.h"
#include "kinglet/llm/call_ledger.h"
#include "kinglet/llm/endpoint_model.h"
#include "kinglet/llm/local_model.h"
#include "kinglet/llm/reply_cache.h"

namespace kinglet::cli {

struct EndpointEntry {
  std::string name;  // in the recipe
  EndpointOptions options;
  std::string key_variable;  // of the environment; empty: no key
  // A model of this machine in place of an endpoint. Nothing of it is billed, and no budget limits it.
  std::optional<ServedModelOptions> local;
  std::int64_t parallel = 8;  // of its sequences
};

// One run on several machines: the ledger is in a PostgreSQL database.
struct SharedJob {
  std::string database;  // postgresql://user@host/database, without a password
  std::string name;
};

struct EndpointRecipe {
  std::vector<EndpointEntry> endpoints;
  Budget::Limits limits;
  std::string currency = "USD";
  std::optional<SharedJob> job;
};

EndpointRecipe read_endpoints(RecipeTable root);

// The models at work: endpoints over one client and one ledger, models of this machine behind a cache of their replies,
// so that a run that goes on repeats neither a paid nor a computed call.
class Endpoints {
 public:
  // Keys are read from the environment and models of this machine loaded here; their replies are kept beside the ledger
  // in replies.sqlite. `ledger` is a file, or with a job only the lock of its folder. Raises Error (bad input), among
  // others for a run folder of other settings.
  Endpoints(const EndpointRecipe& recipe, const std::filesystem::path& ledger, const std::string& fingerprint,
            InDoubtPolicy in_doubt);

  std::map<std::string, ChatModel*, std::less<>> models() const;
  void stop_sending();  // of all endpoints: what is under way goes on to its end
  const CostMeter& meter() const { return meter_; }
  LedgerSummary ledger_summary() { return ledger_->summary(); }
  std::string cost_text() const;  // "1.25 USD", or "12,300 tokens" without prices

 private:
  void open_locals(const EndpointRecipe& recipe, const std::filesystem::path& replies);

  std::string currency_;
  std::optional<FileLock> lock_;  // of the folder, where the ledger is elsewhere
  std::unique_ptr<CallLedger> ledger_;
  CostMeter meter_;
  Budget budget_;
  HttpClient client_;
  std::map<std::string, std::unique_ptr<EndpointModel>> endpoints_;
  std::optional<ReplyCache> replies_;
  std::map<std::string, std::unique_ptr<LocalModel>> local_;
  std::map<std::string, std::unique_ptr<CachedModel>> kept_;  // the same, with their memory
};

}  // namespace kinglet::cli
