#include "kinglet/serve/metrics.h"

#include <iterator>

#include <fmt/format.h>

namespace kinglet {
namespace {

const char* name_of(SequenceEnd end) {
  switch (end) {
    case SequenceEnd::kLength:
      return "length";
    case SequenceEnd::kEos:
      return "eos";
    case SequenceEnd::kStopped:
      return "stop";
    case SequenceEnd::kCancelled:
      return "cancelled";
    case SequenceEnd::kFailed:
      return "failed";
  }
  return "";
}

void print_head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

template <typename Number>
void print_one(std::string& out, std::string_view name, std::string_view type, std::string_view help, Number value) {
  print_head(out, name, type, help);
  fmt::format_to(std::back_inserter(out), "{} {}\n", name, value);
}

}  // namespace

void Histogram::add(double seconds) {
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    if (seconds <= kBounds[i]) ++counts_[i];
  }
  ++counts_.back();
  sum_ += seconds;
}

void Histogram::print(std::string& out, const std::string& name, const std::string& help) const {
  print_head(out, name, "histogram", help);
  auto at = std::back_inserter(out);
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    fmt::format_to(at, "{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[i], counts_[i]);
  }
  fmt::format_to(at, "{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, count(), name, sum_, name, count());
}

void ServeMetrics::add_request(const std::string& route, int status) {
  const std::lock_guard lock(mutex_);
  ++requests_[{route, status}];
}

void ServeMetrics::add_sequence(const SequenceResult& result, double seconds) {
  const std::lock_guard lock(mutex_);
  ++ends_[name_of(result.end)];
  if (result.new_tokens > 0) {
    wait_.add(result.wait_seconds);
    first_token_.add(result.wait_seconds + result.prompt_seconds);
  }
  if (result.new_tokens > 1) per_token_.add(result.token_seconds / static_cast<double>(result.new_tokens - 1));
  whole_.add(seconds);
}

void ServeMetrics::add_forest(std::int64_t calls, std::int64_t completion_tokens) {
  const std::lock_guard lock(mutex_);
  ++forests_;
  forest_calls_ += calls;
  forest_tokens_ += completion_tokens;
}

std::string ServeMetrics::print(const EngineState& engine, const Gauges& gauges) const {
  const std::lock_guard lock(mutex_);
  std::string out;
  print_head(out, "kinglet_http_requests_total", "counter", "Answered requests by route and status.");
  for (const auto& [key, count] : requests_) {
    fmt::format_to(std::back_inserter(out), "kinglet_http_requests_total{{route=\"{}\",code=\"{}\"}} {}\n", key.first,
                   key.second, count);
  }
  print_head(out, "kinglet_sequences_total", "counter", "Ended sequences by the reason of their end.");
  for (const auto& [end, count] : ends_) {
    fmt::format_to(std::back_inserter(out), "kinglet_sequences_total{{end=\"{}\"}} {}\n", end, count);
  }
  print_one(out, "kinglet_prompt_tokens_total", "counter", "Prompt tokens computed.", engine.prompt_tokens);
  print_one(out, "kinglet_cached_prompt_tokens_total", "counter", "Prompt tokens found in the cache.",
            engine.cached_tokens);
  print_one(out, "kinglet_generated_tokens_total", "counter", "New tokens.", engine.new_tokens);
  print_one(out, "kinglet_sequences_waiting", "gauge", "Sequences whose prompt has not been begun.", engine.waiting);
  print_one(out, "kinglet_sequences_running", "gauge", "Sequences in the batch.", engine.running);
  print_one(out, "kinglet_sequences_open", "gauge", "Sequences that clients wait for.", gauges.open_sequences);
  print_one(out, "kinglet_http_connections", "gauge", "Open connections.", gauges.connections);
  print_one(out, "kinglet_forests_total", "counter", "Ended forests of reasoning trees.", forests_);
  print_one(out, "kinglet_forest_calls_total", "counter", "Calls of ended forests.", forest_calls_);
  print_one(out, "kinglet_forest_tokens_total", "counter", "New tokens of ended forests.", forest_tokens_);
  print_one(out, "kinglet_forests_open", "gauge", "Forests that clients wait for.", gauges.open_forests);
  wait_.print(out, "kinglet_queue_seconds", "Until a sequence's prompt is begun.");
  first_token_.print(out, "kinglet_time_to_first_token_seconds", "From a sequence's arrival to its first token.");
  per_token_.print(out, "kinglet_time_per_output_token_seconds", "Mean time of a sequence's tokens behind the first.");
  whole_.print(out, "kinglet_sequence_seconds", "From a request's arrival to the end of a sequence.");
  return out;
}

}  // namespace kinglet
