// How an inspection looks: a text for people and a JSON document for programs.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kinglet/base/error.h"
#include "kinglet/base/progress.h"
#include "kinglet/base/table.h"
#include "kinglet/io/inspect.h"

namespace kinglet {
namespace {

using nlohmann::json;

std::string show_shape(const std::vector<std::int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string show_number(double value) { return fmt::format("{:.6g}", value); }

std::string show_bytes(std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

std::string show_bad(const TensorStatistics& statistics) {
  if (statistics.nans + statistics.infinities == 0) return "-";
  return fmt::format("{} NaN, {} Inf", statistics.nans, statistics.infinities);
}

std::string type_name(const InspectedTensor& tensor) {
  return std::string(tensor.block_type.empty() ? dtype_name(tensor.dtype) : tensor.block_type);
}

// A chat template would fill the screen; the JSON document has all of it.
std::string show_metadata(const std::string& value) {
  constexpr std::size_t kLongest = 160;
  std::string text = printable(value);
  if (text.size() <= kLongest) return text;
  std::size_t end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // a whole UTF-8 character
  return fmt::format("{}... ({} bytes)", text.substr(0, end), value.size());
}

// type -> tensors, elements, bytes
struct Total {
  std::uint64_t tensors = 0, elements = 0, bytes = 0;
};
std::map<std::string, Total> totals_by_dtype(const Inspection& inspection) {
  std::map<std::string, Total> totals;
  for (const InspectedTensor& tensor : inspection.tensors) {
    Total& total = totals[type_name(tensor)];
    ++total.tensors;
    total.elements += std::accumulate(
        tensor.shape.begin(), tensor.shape.end(), std::uint64_t{1},
        [](std::uint64_t product, std::int64_t size) { return product * static_cast<std::uint64_t>(size); });
    total.bytes += tensor.bytes;
  }
  return totals;
}

// ---- text ------------------------------------------------------------------------------------------------------

std::string tensor_table(const Inspection& inspection) {
  const bool statistics = std::any_of(inspection.tensors.begin(), inspection.tensors.end(),
                                      [](const InspectedTensor& tensor) { return tensor.statistics.has_value(); });
  const auto right = Table::Align::kRight;
  std::vector<Table::Column> columns = {{"tensor"}, {"dtype"}, {"shape"}, {"size", right}};
  if (statistics) {
    for (const char* title : {"min", "max", "mean", "std", "zeros", "bad"}) columns.push_back({title, right});
  }
  Table table(columns);
  for (const InspectedTensor& tensor : inspection.tensors) {
    std::vector<std::string> row = {printable(tensor.name), type_name(tensor), show_shape(tensor.shape),
                                    show_bytes(tensor.bytes)};
    if (statistics && tensor.statistics) {
      const TensorStatistics& s = *tensor.statistics;
      for (const double value : {s.minimum, s.maximum, s.mean, s.deviation}) row.push_back(show_number(value));
      row.push_back(fmt::format("{:.1f}%", 100 * s.zero_fraction()));
      row.push_back(show_bad(s));
    }
    row.resize(columns.size(), "-");
    table.add_row(std::move(row));
  }
  return table.to_text();
}

std::string totals_text(const Inspection& inspection) {
  std::string text;
  for (const auto& [dtype, total] : totals_by_dtype(inspection)) {
    text +=
        fmt::format("{}: {} tensors, {} elements, {}\n", dtype, total.tensors, total.elements, show_bytes(total.bytes));
  }
  return text;
}

std::string checkpoint_text(const InspectedCheckpoint& checkpoint) {
  std::string text = checkpoint.step ? fmt::format("step: {}\n", *checkpoint.step) : std::string();
  text += fmt::format("optimizer: {}", optimizer_name(checkpoint.optimizer));
  if (!checkpoint.pairing_rule.empty()) text += fmt::format(", paired by {}", checkpoint.pairing_rule);
  text += "\n\n";
  Table files({{"file"}, {"size", Table::Align::kRight}, {"arrays", Table::Align::kRight}});
  for (const InspectedFile& file : checkpoint.files) {
    files.add_row(
        {printable(file.name), show_bytes(file.bytes), file.regions == 0 ? "verbatim" : std::to_string(file.regions)});
  }
  text += files.to_text();
  if (!checkpoint.parameters.empty()) {
    Table parameters({{"parameter"}, {"dtype"}, {"shape"}, {"moments"}});
    for (const InspectedParameter& parameter : checkpoint.parameters) {
      parameters.add_row({printable(parameter.name), std::string(dtype_name(parameter.dtype)),
                          show_shape(parameter.shape), parameter.moments});
    }
    text += "\n" + parameters.to_text();
  }
  for (const std::string& note : checkpoint.notes) text += fmt::format("note: {}\n", printable(note));
  return text;
}

std::string globals_text(const Inspection& inspection) {
  std::string text = "names in the pickle:\n";
  for (const InspectedGlobal& global : inspection.globals) {
    text += fmt::format("  {}{}\n", printable(global.name), global.runs_in_python ? "   would run code in Python" : "");
  }
  return text;
}

// ---- JSON ------------------------------------------------------------------------------------------------------

// JSON has no NaN.
json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json tensor_json(const InspectedTensor& tensor) {
  json result = {{"name", tensor.name}, {"dtype", type_name(tensor)}, {"shape", tensor.shape}, {"bytes", tensor.bytes}};
  if (tensor.statistics) {
    const TensorStatistics& s = *tensor.statistics;
    result["statistics"] = {{"count", s.count},       {"zeros", s.zeros},          {"nan", s.nans},
                            {"inf", s.infinities},    {"min", number(s.minimum)},  {"max", number(s.maximum)},
                            {"mean", number(s.mean)}, {"std", number(s.deviation)}};
  }
  if (!tensor.first_elements.empty()) {
    for (const double value : tensor.first_elements) result["first_elements"].push_back(number(value));
  }
  return result;
}

json checkpoint_json(const InspectedCheckpoint& checkpoint) {
  json result = {{"optimizer", optimizer_name(checkpoint.optimizer)},
                 {"pairing_rule", checkpoint.pairing_rule},
                 {"step", checkpoint.step ? json(*checkpoint.step) : json(nullptr)},
                 {"files", json::array()},
                 {"parameters", json::array()},
                 {"notes", checkpoint.notes}};
  for (const InspectedFile& file : checkpoint.files) {
    result["files"].push_back({{"name", file.name}, {"bytes", file.bytes}, {"arrays", file.regions}});
  }
  for (const InspectedParameter& parameter : checkpoint.parameters) {
    result["parameters"].push_back({{"name", parameter.name},
                                    {"shape", parameter.shape},
                                    {"dtype", dtype_name(parameter.dtype)},
                                    {"moments", parameter.moments}});
  }
  return result;
}

}  // namespace

std::string_view optimizer_name(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kNone:
      return "none";
    case OptimizerKind::kAdam:
      return "Adam";
    case OptimizerKind::kAdamAmsgrad:
      return "Adam (AMSGrad)";
    case OptimizerKind::kMomentum:
      return "momentum";
    case OptimizerKind::kOther:
      return "other";
  }
  return "other";
}

std::string inspection_text(const Inspection& inspection) {
  std::string text = fmt::format("{}: {}", printable(inspection.path), inspection.kind);
  if (inspection.bytes > 0) text += fmt::format(", {}", show_bytes(inspection.bytes));
  text += "\n";
  for (const auto& [key, value] : inspection.metadata) {
    text += fmt::format("  {}: {}\n", printable(key), show_metadata(value));
  }
  if (inspection.checkpoint) text += checkpoint_text(*inspection.checkpoint);
  const bool statistics = std::any_of(inspection.tensors.begin(), inspection.tensors.end(),
                                      [](const InspectedTensor& tensor) { return tensor.statistics.has_value(); });
  // A checkpoint's table of parameters says what the table of tensors would, without the numbers.
  if (!inspection.tensors.empty() && (statistics || !inspection.checkpoint)) text += "\n" + tensor_table(inspection);
  for (const InspectedTensor& tensor : inspection.tensors) {
    if (tensor.first_elements.empty()) continue;
    text += "first elements:";
    for (const double value : tensor.first_elements) text += " " + show_number(value);
    text += "\n";
  }
  if (inspection.tensors.size() > 1) text += "\n" + totals_text(inspection);
  if (!inspection.globals.empty()) text += "\n" + globals_text(inspection);
  if (!inspection.pickle.empty()) text += "\n" + inspection.pickle;
  if (!text.ends_with("\n")) text += "\n";
  if (!inspection.hint.empty()) text += fmt::format("see: {}\n", printable(inspection.hint));
  return text;
}

json inspection_json(const Inspection& inspection) {
  json result = {{"path", inspection.path}, {"kind", inspection.kind}, {"bytes", inspection.bytes}};
  result["metadata"] = inspection.metadata;
  result["tensors"] = json::array();
  for (const InspectedTensor& tensor : inspection.tensors) result["tensors"].push_back(tensor_json(tensor));
  result["totals"] = json::object();
  for (const auto& [dtype, total] : totals_by_dtype(inspection)) {
    result["totals"][dtype] = {{"tensors", total.tensors}, {"elements", total.elements}, {"bytes", total.bytes}};
  }
  result["globals"] = json::array();
  for (const InspectedGlobal& global : inspection.globals) {
    result["globals"].push_back({{"name", global.name}, {"would_run_code_in_python", global.runs_in_python}});
  }
  if (!inspection.pickle.empty()) result["pickle"] = inspection.pickle;
  if (inspection.checkpoint) result["checkpoint"] = checkpoint_json(*inspection.checkpoint);
  if (!inspection.hint.empty()) result["hint"] = inspection.hint;
  return result;
}

}  // namespace kinglet
