// Steps, tensors and reports of a store as text and as JSON.
#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "kinglet/base/progress.h"
#include "kinglet/cli/ckpt.h"
#include "kinglet/methods/excp/chain_plot.h"

namespace kinglet::cli {
namespace {

using nlohmann::json;

// "lambda 1.00" or "lambda 0.42..1.00"; empty when nothing was pruned.
std::string lambda_text(const std::vector<excp::TensorRecord>& tensors) {
  double least = std::numeric_limits<double>::infinity(), most = -1;
  for (const excp::TensorRecord& tensor : tensors) {
    if (tensor.coding != "delta" || tensor.unchanged >= 1) continue;  // a frozen tensor has nothing to prune
    least = std::min(least, tensor.lambda);
    most = std::max(most, tensor.lambda);
  }
  if (most < 0) return {};
  const std::string low = fmt::format("{:.3g}", least), high = fmt::format("{:.3g}", most);
  return low == high ? "lambda " + low : fmt::format("lambda {}..{}", low, high);
}

}  // namespace

std::string ratio_text(std::uint64_t original_bytes, std::uint64_t stored_bytes) {
  if (stored_bytes == 0) return "-";
  return fmt::format("{:.1f}x", static_cast<double>(original_bytes) / static_cast<double>(stored_bytes));
}

std::string percent_text(double share) { return fmt::format("{:.3g} %", 100 * share); }

std::string kind_text(const excp::StepInfo& info) {
  if (info.key) return info.lossy ? "lossy key" : "key";
  return info.lossy ? "delta" : "lossless delta";
}

std::string steps_text(const std::vector<std::int64_t>& steps) { return fmt::format("{}", fmt::join(steps, ", ")); }

std::string shape_text(const std::vector<std::int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string added_line(const excp::AddReport& report) {
  const excp::StepInfo& info = report.info;
  std::string line = fmt::format("step {:>8}  {:<14}  {:>9} -> {:>9}  {:>7}", info.step, kind_text(info),
                                 format_bytes(static_cast<double>(info.original_bytes)),
                                 format_bytes(static_cast<double>(info.stored_bytes)),
                                 ratio_text(info.original_bytes, info.stored_bytes));
  if (const std::string lambda = lambda_text(report.tensors); !lambda.empty()) {
    line += fmt::format("  {}  weight error {}", lambda, percent_text(excp::weight_error(report.tensors)));
  } else if (!report.key_reason.empty()) {
    line += fmt::format("  {}", report.key_reason);
  }
  return line + fmt::format("  {:.2f} s", report.seconds);
}

json number_json(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json step_json(const excp::StepInfo& info) {
  return {{"step", info.step},
          {"kind", info.key ? "key" : "delta"},
          {"lossy", info.lossy},
          {"parent", info.parent ? json(*info.parent) : json(nullptr)},
          {"original_bytes", info.original_bytes},
          {"stored_bytes", info.stored_bytes},
          {"file", info.file}};
}

json tensor_json(const excp::TensorRecord& tensor) {
  json result = {{"name", tensor.name},
                 {"shape", tensor.shape},
                 {"dtype", dtype_name(tensor.dtype)},
                 {"coding", tensor.coding},
                 {"elements", tensor.n},
                 {"original_bytes", tensor.original_bytes},
                 {"stored_bytes", tensor.stored_bytes}};
  if (!tensor.fallback.empty()) result["fallback"] = tensor.fallback;
  if (tensor.coding != "delta") return result;
  result["lambda"] = tensor.lambda;
  result["weight_density"] = tensor.weight_density;
  result["moment_density"] = tensor.moment_density;
  result["unchanged"] = tensor.unchanged;
  result["weight_error"] = number_json(excp::weight_error({tensor}));
  return result;
}

json added_json(const excp::AddReport& report) {
  json result = step_json(report.info);
  result["key_reason"] = report.key_reason.empty() ? json(nullptr) : json(report.key_reason);
  result["weight_error"] = number_json(excp::weight_error(report.tensors));
  result["seconds"] = report.seconds;
  result["warnings"] = report.warnings;
  result["tensors"] = json::array();
  for (const excp::TensorRecord& tensor : report.tensors) result["tensors"].push_back(tensor_json(tensor));
  return result;
}

}  // namespace kinglet::cli
