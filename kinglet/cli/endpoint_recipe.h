// [[model]] and [budget] of a recipe: the endpoints that a command calls, with their limits and prices.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/io/recipe_reader.h"
#include "kinglet/llm/endpoint_model.h"
#include "kinglet/llm/sqlite_ledger.h"

namespace kinglet::cli {

struct EndpointEntry {
  std::string name;  // in the recipe
  EndpointOptions options;
  std::string key_variable;  // of the environment; empty: no key
};

struct EndpointRecipe {
  std::vector<EndpointEntry> endpoints;
  Budget::Limits limits;
  std::string currency = "USD";
};

EndpointRecipe read_endpoints(RecipeTable root);

// The endpoints at work, over one client and one ledger.
class Endpoints {
 public:
  // Keys are read from the environment here. Raises Error (bad input), among others for a run folder of other settings.
  Endpoints(const EndpointRecipe& recipe, const std::filesystem::path& ledger, const std::string& fingerprint,
            InDoubtPolicy in_doubt);

  std::map<std::string, ChatModel*, std::less<>> models() const;
  void stop_sending();  // of all: what is under way goes on to its end
  const CostMeter& meter() const { return meter_; }
  LedgerSummary ledger_summary() { return ledger_.summary(); }
  std::string cost_text() const;  // "1.25 USD", or "12,300 tokens" without prices

 private:
  std::string currency_;
  SqliteLedger ledger_;
  CostMeter meter_;
  Budget budget_;
  HttpClient client_;
  std::map<std::string, std::unique_ptr<EndpointModel>> models_;
};

}  // namespace kinglet::cli
