// metrics.jsonl: what a run measured, one JSON object a line.
//
//   {"step": 20, "time": 1764056712.25, "loss": 3.1875, "lr": 0.0003}
//
// "step" is a whole number, "time" seconds since 1970, everything else a named number. JSON has no NaN and no infinity:
// they stand as the texts "NaN", "Infinity" and "-Infinity".
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kinglet/base/append_file.h"
#include "kinglet/base/files.h"

namespace kinglet {

using NamedNumbers = std::vector<std::pair<std::string, double>>;

struct MetricsLine {
  std::int64_t step = 0;
  double seconds = 0;
  NamedNumbers values;  // in the line's order

  std::optional<double> value(std::string_view name) const;
};

double seconds_since_1970();

class MetricsWriter {
 public:
  // A new run: refuses a file that already holds lines. Raises Error.
  explicit MetricsWriter(const std::filesystem::path& path);
  // A run that goes on from a checkpoint of `resumed_step`: lines of later steps, which will come again, and an
  // incomplete last line are taken out atomically; the others stay to the byte. Raises Error (bad input) with the line
  // for a damaged file.
  MetricsWriter(const std::filesystem::path& path, std::int64_t resumed_step);

  // One line, in the file when this returns. Names are neither empty nor "step" or "time", and differ.
  void write(std::int64_t step, const NamedNumbers& values, double seconds = seconds_since_1970());

 private:
  AppendFile file_;
};

// Raises Error (bad input) with the line number for what is no such line. A last line without an end, as a crash leaves
// it, is left out.
std::vector<MetricsLine> parse_metrics(std::string_view text, std::string_view where);
std::vector<MetricsLine> read_metrics(const std::filesystem::path& path);

std::string metrics_line(const MetricsLine& line);  // with its end

}  // namespace kinglet
