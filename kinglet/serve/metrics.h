// What a server counts, in the text format of Prometheus. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "kinglet/models/decoder/token_engine.h"

namespace kinglet {

class Histogram {
 public:
  static constexpr std::array<double, 15> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,  0.25,
                                                     0.5,   1.0,    2.5,   5.0,  10.0,  30.0, 120.0};  // seconds
  void add(double seconds);
  void print(std::string& out, const std::string& name, const std::string& help) const;
  std::uint64_t count() const { return counts_.back(); }

 private:
  std::array<std::uint64_t, kBounds.size() + 1> counts_{};  // at most the bound; the last: all
  double sum_ = 0.0;
};

class ServeMetrics {
 public:
  struct Gauges {
    std::int64_t open_sequences = 0;  // admitted and not ended
    std::size_t connections = 0;
    std::int64_t open_forests = 0;
  };

  void add_request(const std::string& route, int status);
  void add_sequence(const SequenceResult& result, double seconds);
  void add_forest(std::int64_t calls, std::int64_t completion_tokens);
  std::string print(const EngineState& engine, const Gauges& gauges) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  std::map<std::string, std::uint64_t> ends_;
  std::int64_t forests_ = 0, forest_calls_ = 0, forest_tokens_ = 0;
  Histogram wait_, first_token_, per_token_, whole_;
};

}  // namespace kinglet
