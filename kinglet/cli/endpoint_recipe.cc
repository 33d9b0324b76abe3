#include "kinglet/cli/endpoint_recipe.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet::cli {
namespace {

PriceTable prices_of(const EndpointRecipe& recipe) {
  PriceTable prices;
  for (const EndpointEntry& entry : recipe.endpoints) {
    if (entry.options.price) prices.set(entry.options.model, *entry.options.price);
  }
  return prices;
}

EndpointEntry read_endpoint(RecipeTable& table) {
  EndpointEntry entry;
  EndpointOptions& options = entry.options;
  entry.name = table.need_text("name");
  options.model = table.text("model", entry.name);
  options.base_url = table.need_text("base_url");
  options.identity = entry.name;  // the run goes on when the address changes
  entry.key_variable = table.text("key_env", "");
  options.key_header = table.text("key_header", options.key_header);
  options.key_prefix = table.text("key_prefix", options.key_prefix);
  options.max_completion_tokens = table.boolean("max_completion_tokens", false);
  options.idempotency_header = table.text("idempotency_header", "");
  options.admission.max_in_flight =
      static_cast<int>(table.integer("in_flight", options.admission.max_in_flight, {1, 10'000}));
  options.admission.requests_a_minute = table.number("requests_a_minute", 0, at_least(0));
  options.admission.tokens_a_minute = table.number("tokens_a_minute", 0, at_least(0));
  options.attempt_timeout = std::chrono::milliseconds(table.integer("timeout_seconds", 600, {1, 86'400}) * 1000);
  const auto input = table.optional_number("price_input", at_least(0));
  const auto output = table.optional_number("price_output", at_least(0));
  const auto cached = table.optional_number("price_cached_input", at_least(0));
  if (input || output) options.price = Price{input.value_or(0), cached.value_or(input.value_or(0)), output.value_or(0)};
  return entry;
}

}  // namespace

EndpointRecipe read_endpoints(RecipeTable root) {
  EndpointRecipe recipe;
  for (RecipeTable& table : root.tables("model")) {
    EndpointEntry entry = read_endpoint(table);
    const bool taken = std::any_of(recipe.endpoints.begin(), recipe.endpoints.end(),
                                   [&](const EndpointEntry& other) { return other.name == entry.name; });
    if (taken) throw table.refuse("name", fmt::format("'{}' is there twice", entry.name));
    recipe.endpoints.push_back(std::move(entry));
  }
  RecipeTable budget = root.table("budget");
  recipe.currency = budget.text("currency", "USD");
  recipe.limits.money = budget.optional_number("money", above(0));
  recipe.limits.tokens = budget.optional_integer("tokens", {1, INT64_MAX});
  recipe.limits.requests = budget.optional_integer("requests", {1, INT64_MAX});
  for (const EndpointEntry& entry : recipe.endpoints) {
    if (recipe.limits.money && !entry.options.price) {
      throw budget.refuse("money", fmt::format("the price of model '{}' is not known", entry.name),
                          "give price_input and price_output, or a budget of tokens");
    }
  }
  return recipe;
}

Endpoints::Endpoints(const EndpointRecipe& recipe, const std::filesystem::path& ledger, const std::string& fingerprint,
                     InDoubtPolicy in_doubt)
    : currency_(recipe.currency), ledger_(ledger), meter_(prices_of(recipe)), budget_(recipe.limits) {
  ledger_.check_fingerprint(fingerprint);
  for (const EndpointEntry& entry : recipe.endpoints) {
    EndpointOptions options = entry.options;
    if (!entry.key_variable.empty()) options.api_key = ApiKey::from_environment(entry.key_variable);
    options.ledger = &ledger_;
    options.in_doubt = in_doubt;
    options.budget = &budget_;
    options.meter = &meter_;
    models_[entry.name] = std::make_unique<EndpointModel>(client_, std::move(options));
  }
}

std::map<std::string, ChatModel*, std::less<>> Endpoints::models() const {
  std::map<std::string, ChatModel*, std::less<>> result;
  for (const auto& [name, model] : models_) result[name] = model.get();
  return result;
}

void Endpoints::stop_sending() {
  for (const auto& [name, model] : models_) model->stop_sending();
}

std::string Endpoints::cost_text() const {
  const CallCosts total = meter_.total();
  if (total.unpriced == 0 && total.calls > 0) return fmt::format("{:.4f} {}", total.money, currency_);
  return fmt::format("{} tokens", total.usage.prompt + total.usage.completion);
}

}  // namespace kinglet::cli
