#include "kinglet/cli/endpoint_recipe.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/llm/postgres_ledger.h"
#include "kinglet/llm/sqlite_ledger.h"

namespace kinglet::cli {
namespace {

PriceTable prices_of(const EndpointRecipe& recipe) {
  PriceTable prices;
  bool any = false;
  for (const EndpointEntry& entry : recipe.endpoints) {
    if (!entry.options.price) continue;
    prices.set(entry.options.model, *entry.options.price);
    any = true;
  }
  for (const EndpointEntry& entry : recipe.endpoints) {
    if (entry.local && any) prices.set(entry.name, Price{});  // so that the sum of money is known
  }
  return prices;
}

// `path` in place of `base_url`: a folder or a GGUF file.
void read_local(RecipeTable& table, EndpointEntry& entry) {
  ServedModelOptions& local = entry.local.emplace();
  const std::filesystem::path path = table.need_path("path");
  if (table.has("base_url")) throw table.refuse("base_url", "is there beside path", "a model is one of both");
  if (!std::filesystem::exists(path)) throw table.refuse("path", fmt::format("'{}' does not exist", path.string()));
  local.model = path.string();
  // Names what answers when the recipe is compared with that of an earlier start; the folder may move.
  entry.options.model = table.text("model", (path.has_filename() ? path : path.parent_path()).filename().string());
  local.chat_template = table.path("chat_template", {}).string();
  local.dtype = table.choice("dtype", local.dtype, {"fp32", "bf16", "int8"});
  local.context = table.integer("context", 0, {0, 1 << 30});
  entry.parallel = table.integer("in_flight", entry.parallel, {1, 4096});
}

EndpointEntry read_endpoint(RecipeTable& table) {
  EndpointEntry entry;
  EndpointOptions& options = entry.options;
  entry.name = table.need_text("name");
  if (table.has("path")) {
    read_local(table, entry);
    return entry;
  }
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
  if (root.has("job")) {
    RecipeTable job = root.table("job");
    recipe.job = SharedJob{job.need_text("database"), job.need_text("name")};
  }
  for (const EndpointEntry& entry : recipe.endpoints) {
    if (recipe.limits.money && !entry.options.price && !entry.local) {
      throw budget.refuse("money", fmt::format("the price of model '{}' is not known", entry.name),
                          "give price_input and price_output, or a budget of tokens");
    }
  }
  return recipe;
}

Endpoints::Endpoints(const EndpointRecipe& recipe, const std::filesystem::path& ledger, const std::string& fingerprint,
                     InDoubtPolicy in_doubt)
    : currency_(recipe.currency), meter_(prices_of(recipe)), budget_(recipe.limits) {
  if (recipe.job) {
    lock_.emplace(ledger.string() + ".lock", "run folder");
    ledger_ = std::make_unique<PostgresLedger>(recipe.job->database, recipe.job->name);
  } else {
    ledger_ = std::make_unique<SqliteLedger>(ledger);
  }
  ledger_->check_fingerprint(fingerprint);
  for (const EndpointEntry& entry : recipe.endpoints) {
    if (entry.local) continue;
    EndpointOptions options = entry.options;
    if (!entry.key_variable.empty()) options.api_key = ApiKey::from_environment(entry.key_variable);
    options.ledger = ledger_.get();
    options.in_doubt = in_doubt;
    options.budget = &budget_;
    options.meter = &meter_;
    endpoints_[entry.name] = std::make_unique<EndpointModel>(client_, std::move(options));
  }
  const auto is_local = [](const EndpointEntry& entry) { return entry.local.has_value(); };
  if (std::any_of(recipe.endpoints.begin(), recipe.endpoints.end(), is_local)) {
    open_locals(recipe, ledger.parent_path() / "replies.sqlite");
  }
}

// Entries that differ in their names and limits only have one engine, with room for the most of them.
void Endpoints::open_locals(const EndpointRecipe& recipe, const std::filesystem::path& replies) {
  auto* const open = reinterpret_cast<LocalModelEntry*>(find_torch_entry(kLocalModelEntryName));
  std::vector<std::pair<ServedModelOptions, LocalEngine>> opened;
  replies_.emplace(replies, 1);
  for (const EndpointEntry& entry : recipe.endpoints) {
    if (!entry.local) continue;
    auto found = std::find_if(opened.begin(), opened.end(), [&](const auto& one) { return one.first == *entry.local; });
    if (found == opened.end()) {
      std::int64_t parallel = 1;
      for (const EndpointEntry& other : recipe.endpoints) {
        if (other.local == entry.local) parallel = std::max(parallel, other.parallel);
      }
      found = opened.insert(opened.end(), {*entry.local, LocalEngine()});
      open(*entry.local, parallel, found->second);
    }
    LocalEngine engine = found->second;
    engine.name = entry.name;
    auto& model = local_[entry.name] = std::make_unique<LocalModel>(std::move(engine), &meter_);
    kept_[entry.name] = std::make_unique<CachedModel>(*replies_, *model, &meter_);
  }
}

std::map<std::string, ChatModel*, std::less<>> Endpoints::models() const {
  std::map<std::string, ChatModel*, std::less<>> result;
  for (const auto& [name, model] : endpoints_) result[name] = model.get();
  for (const auto& [name, model] : kept_) result[name] = model.get();
  return result;
}

void Endpoints::stop_sending() {
  for (const auto& [name, model] : endpoints_) model->stop_sending();
}

std::string Endpoints::cost_text() const {
  const CallCosts total = meter_.total();
  if (total.unpriced == 0 && total.calls > 0) return fmt::format("{:.4f} {}", total.money, currency_);
  return fmt::format("{} tokens", total.usage.prompt + total.usage.completion);
}

}  // namespace kinglet::cli
