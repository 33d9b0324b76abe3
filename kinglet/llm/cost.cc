#include "kinglet/llm/cost.h"

#include <cmath>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"

namespace kinglet {
namespace {

constexpr double kMillion = 1e6;
constexpr double kRounding = 1e-9;

double price_field(const Json& json, const char* name, const std::string& where, std::optional<double> fallback = {}) {
  if (!json.contains(name) && fallback) return *fallback;
  const Json value = json.value(name, Json());
  if (!value.is_number() || !(value.get<double>() >= 0)) {
    throw bad_input(fmt::format("{}.{}", where, name), "must be a price: a number of at least 0");
  }
  return value.get<double>();
}

}  // namespace

double Price::of(const TokenUsage& usage) const {
  return (static_cast<double>(usage.prompt - usage.cached) * input + static_cast<double>(usage.cached) * cached_input +
          static_cast<double>(usage.completion) * output) /
         kMillion;
}

PriceTable PriceTable::parse(std::string_view text, std::string_view where) {
  const Json json = parse_json(text, where);
  if (!json.is_object() || !json.contains("models") || !json["models"].is_object()) {
    throw bad_input(where, "is no price table", R"(it looks like {"models": {"NAME": {"input": 1, "output": 2}}})");
  }
  PriceTable table;
  for (const auto& [name, entry] : json["models"].items()) {
    const std::string place = fmt::format("{}: models.{}", where, name);
    if (!entry.is_object()) throw bad_input(place, "must be an object");
    Price price;
    price.input = price_field(entry, "input", place);
    price.output = price_field(entry, "output", place);
    price.cached_input = price_field(entry, "cached_input", place, price.input);
    table.set(name, price);
  }
  if (json.contains("currency")) {
    if (!json["currency"].is_string()) throw bad_input(fmt::format("{}: currency", where), "must be a text");
    table.currency_ = json["currency"].get<std::string>();
  }
  return table;
}

PriceTable PriceTable::load(const std::filesystem::path& path) {
  return parse(as_text(read_file(path, 1 << 20)), path.string());
}

std::optional<Price> PriceTable::find(std::string_view model) const {
  if (const auto exact = prices_.find(model); exact != prices_.end()) return exact->second;
  std::optional<Price> best;
  std::size_t longest = 0;
  for (const auto& [name, price] : prices_) {
    if (!name.ends_with('*') || !model.starts_with(std::string_view(name).substr(0, name.size() - 1))) continue;
    if (name.size() > longest) {
      longest = name.size();
      best = price;
    }
  }
  return best;
}

CallCosts& CallCosts::operator+=(const CallCosts& other) {
  calls += other.calls;
  requests += other.requests;
  doubtful += other.doubtful;
  replayed += other.replayed;
  failed += other.failed;
  usage += other.usage;
  money += other.money;
  unpriced += other.unpriced;
  return *this;
}

void CostMeter::add(std::string_view role, std::string_view model, const ChatReply& reply) {
  CallCosts costs;
  costs.calls = 1;
  costs.requests = reply.replayed ? 0 : reply.attempts;
  costs.doubtful = reply.doubtful;
  costs.replayed = reply.replayed ? 1 : 0;
  costs.failed = reply.done() ? 0 : 1;
  if (!reply.replayed) {
    costs.usage = reply.usage;
    if (const auto price = prices_.find(model))
      costs.money = price->of(reply.usage);
    else
      costs.unpriced = 1;
  }
  rows_[{std::string(role), std::string(model)}] += costs;
}

CallCosts CostMeter::total() const {
  CallCosts total;
  for (const auto& [key, costs] : rows_) total += costs;
  return total;
}

Json CostMeter::to_json() const {
  Json rows = Json::array();
  for (const auto& [key, costs] : rows_) {
    rows.push_back({{"role", key.first},
                    {"model", key.second},
                    {"calls", costs.calls},
                    {"requests", costs.requests},
                    {"doubtful", costs.doubtful},
                    {"replayed", costs.replayed},
                    {"failed", costs.failed},
                    {"prompt_tokens", costs.usage.prompt},
                    {"cached_tokens", costs.usage.cached},
                    {"completion_tokens", costs.usage.completion},
                    {"reasoning_tokens", costs.usage.reasoning},
                    {"estimated", costs.usage.estimated},
                    {"money", costs.money},
                    {"unpriced_calls", costs.unpriced}});
  }
  return {{"currency", prices_.currency()}, {"rows", rows}};
}

Budget::Room Budget::room_for(const Amount& amount) const {
  const auto fits = [&](const Amount& taken) {
    return (!limits_.requests || taken.requests + amount.requests <= *limits_.requests) &&
           (!limits_.tokens || taken.tokens + amount.tokens <= *limits_.tokens) &&
           (!limits_.money || taken.money + amount.money <= *limits_.money + kRounding);
  };
  const Amount taken = {used_.requests + reserved_.requests, used_.tokens + reserved_.tokens,
                        used_.money + reserved_.money};
  if (fits(taken)) return Room::kYes;
  return fits(used_) ? Room::kLater : Room::kNever;
}

void Budget::reserve(const Amount& amount) {
  reserved_ = {reserved_.requests + amount.requests, reserved_.tokens + amount.tokens, reserved_.money + amount.money};
}

void Budget::settle(const Amount& reserved, const Amount& used) {
  reserved_ = {reserved_.requests - reserved.requests, reserved_.tokens - reserved.tokens,
               reserved_.money - reserved.money};
  if (reserved_.requests == 0) reserved_.money = 0;  // no rounding is left over
  charge(used);
}

void Budget::charge(const Amount& used) {
  used_ = {used_.requests + used.requests, used_.tokens + used.tokens, used_.money + used.money};
}

}  // namespace kinglet
