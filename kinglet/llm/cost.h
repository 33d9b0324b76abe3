// What calls cost: a price table, sums by role and model, and budgets that stop a run before it costs more.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kinglet/llm/chat_reply.h"

namespace kinglet {

struct Price {  // for a million tokens
  double input = 0;
  double cached_input = 0;
  double output = 0;

  double of(const TokenUsage& usage) const;
};

class PriceTable {
 public:
  // {"models": {"name": {"input": 2.5, "cached_input": 1.25, "output": 10}, "name-*": {...}}, "currency": "USD"}.
  // `cached_input` defaults to `input`. Raises Error (bad input) that names the field.
  static PriceTable parse(std::string_view json, std::string_view where);
  static PriceTable load(const std::filesystem::path& path);

  void set(std::string model, Price price) { prices_[std::move(model)] = price; }
  // The model's own entry, else that of the longest prefix with a star; nothing when the price is unknown.
  std::optional<Price> find(std::string_view model) const;
  const std::string& currency() const { return currency_; }

 private:
  std::map<std::string, Price, std::less<>> prices_;
  std::string currency_ = "USD";
};

struct CallCosts {
  std::int64_t calls = 0;     // that ended, of any kind
  std::int64_t requests = 0;  // that were sent for them
  std::int64_t doubtful = 0;  // of the requests: perhaps billed without an answer
  std::int64_t replayed = 0;  // of the calls: from a ledger or a cache, at no cost
  std::int64_t failed = 0;    // of the calls: without an answer
  TokenUsage usage;           // of what was sent now, not of replays
  double money = 0;           // as far as prices are known
  std::int64_t unpriced = 0;  // calls of models without a price

  CallCosts& operator+=(const CallCosts& other);
};

// Sums by (role, model).
class CostMeter {
 public:
  explicit CostMeter(PriceTable prices = {}) : prices_(std::move(prices)) {}

  void add(std::string_view role, std::string_view model, const ChatReply& reply);
  const std::map<std::pair<std::string, std::string>, CallCosts>& rows() const { return rows_; }
  CallCosts total() const;
  Json to_json() const;

 private:
  PriceTable prices_;
  std::map<std::pair<std::string, std::string>, CallCosts> rows_;
};

// Limits over all endpoints that share it. What a call may use at most is reserved before it is sent and settled after
// it; a call for which there is no room waits while others are under way, and ends with ReplyStatus::kBudget when none
// is. So the limits are never passed, whatever the servers answer, as long as they keep to max_tokens.
class Budget {
 public:
  struct Limits {
    std::optional<std::int64_t> requests{};
    std::optional<std::int64_t> tokens{};
    std::optional<double> money{};
  };
  struct Amount {
    std::int64_t requests = 0;
    std::int64_t tokens = 0;
    double money = 0;
  };

  explicit Budget(Limits limits) : limits_(limits) {}
  static Budget unlimited() { return Budget(Limits{}); }

  enum class Room { kYes, kLater, kNever };
  Room room_for(const Amount& amount) const;
  void reserve(const Amount& amount);
  void settle(const Amount& reserved, const Amount& used);
  // What earlier processes of this run used.
  void charge(const Amount& used);

  const Limits& limits() const { return limits_; }
  const Amount& used() const { return used_; }
  bool counts_tokens() const { return limits_.tokens.has_value() || limits_.money.has_value(); }

 private:
  Limits limits_;
  Amount used_, reserved_;
};

}  // namespace kinglet
