#include "kinglet/io/metrics.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;
constexpr auto kLargestStep = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
constexpr double kInfiniteValue = std::numeric_limits<double>::infinity();

ordered_json number_to_json(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

std::optional<double> number_from_json(const ordered_json& value) {
  if (value.is_number()) return value.get<double>();
  if (value == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (value == "Infinity") return kInfiniteValue;
  if (value == "-Infinity") return -kInfiniteValue;
  return std::nullopt;
}

MetricsLine parse_line(std::string_view text, const std::string& place) {
  const auto refuse = [&](std::string_view what) { return bad_input(place, what, "remove the line"); };
  if (text.size() > kMaxLineBytes) throw refuse("the line is too long");
  ordered_json document;
  try {
    // An object of numbers: nothing is nested in it.
    document = ordered_json::parse(text, [&](int depth, ordered_json::parse_event_t, const ordered_json&) {
      if (depth > 1) throw refuse("a value is no number");
      return true;
    });
  } catch (const ordered_json::exception&) {
    throw refuse("not valid JSON");
  }
  if (!document.is_object()) throw refuse("not a JSON object");
  MetricsLine line;
  if (!document.contains("step") || !document["step"].is_number_integer() ||
      (document["step"].is_number_unsigned() && document["step"].get<std::uint64_t>() > kLargestStep)) {
    throw refuse("step is missing or no whole number");
  }
  line.step = document["step"].get<std::int64_t>();
  for (const auto& [name, value] : document.items()) {
    if (name.empty()) throw refuse("a name is empty");
    if (name == "step") continue;
    const auto number = number_from_json(value);
    if (!number) throw refuse(fmt::format("'{}' is no number", name));
    if (name == "time")
      line.seconds = *number;
    else
      line.values.emplace_back(name, *number);
  }
  return line;
}

// Calls `take` with every whole line that is not blank, without and with its end, and its place.
template <typename Take>
void for_each_line(std::string_view text, std::string_view where, const Take& take) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return;  // cut off by a crash
    const std::string_view line = text.substr(0, end);
    ++number;
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      take(line, text.substr(0, end + 1), fmt::format("{}:{}", where, number));
    }
    text.remove_prefix(end + 1);
  }
}

const fs::path& without_later_lines(const fs::path& path, std::int64_t resumed_step) {
  if (!fs::exists(path)) return path;
  std::string kept;
  const MappedFile file(path);
  for_each_line(as_text(file.bytes()), path.string(),
                [&](std::string_view line, std::string_view whole, const std::string& place) {
                  if (parse_line(line, place).step <= resumed_step) kept += whole;
                });
  if (kept.size() != file.bytes().size()) write_file_atomically(path, as_bytes(kept));
  return path;
}

const fs::path& without_lines(const fs::path& path) {
  if (fs::exists(path) && fs::file_size(path) > 0) {
    throw bad_input(path.string(), "already holds the metrics of a run", "resume that run, or choose another folder");
  }
  return path;
}

}  // namespace

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::optional<double> MetricsLine::value(std::string_view name) const {
  const auto found = std::find_if(values.begin(), values.end(), [&](const auto& one) { return one.first == name; });
  if (found == values.end()) return std::nullopt;
  return found->second;
}

MetricsWriter::MetricsWriter(const fs::path& path) : file_(without_lines(path)) {}
MetricsWriter::MetricsWriter(const fs::path& path, std::int64_t resumed_step)
    : file_(without_later_lines(path, resumed_step)) {}

void MetricsWriter::write(std::int64_t step, const NamedNumbers& values, double seconds) {
  file_.append(as_bytes(metrics_line({step, seconds, values})));
}

std::string metrics_line(const MetricsLine& line) {
  ordered_json document = {{"step", line.step}, {"time", number_to_json(line.seconds)}};
  for (const auto& [name, value] : line.values) {
    assert(!name.empty() && !document.contains(name));
    document[name] = number_to_json(value);
  }
  return document.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::vector<MetricsLine> parse_metrics(std::string_view text, std::string_view where) {
  std::vector<MetricsLine> lines;
  for_each_line(text, where, [&](std::string_view line, std::string_view /*whole*/, const std::string& place) {
    lines.push_back(parse_line(line, place));
  });
  return lines;
}

std::vector<MetricsLine> read_metrics(const fs::path& path) {
  if (!fs::is_regular_file(path)) throw bad_input(path.string(), "no such file of metrics");
  const MappedFile file(path);
  return parse_metrics(as_text(file.bytes()), path.string());
}

}  // namespace kinglet
