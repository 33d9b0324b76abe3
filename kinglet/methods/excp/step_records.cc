#include "kinglet/methods/excp/step_records.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace kinglet::excp {
namespace {

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

TensorRecord record_of(const StepIndex& index, const StoredParameter& parameter) {
  TensorRecord record;
  record.name = parameter.name;
  record.shape = parameter.shape;
  record.n = parameter.n;
  record.fallback = parameter.fallback;
  const StoredRegion& weight = index.region(*parameter.regions[kWeight]);
  record.dtype = weight.dtype;
  record.coding = parameter.frame ? "delta" : weight.array->predicted ? "lossless delta" : "lossless";
  for (const auto& region : parameter.regions) record.original_bytes += region ? index.region(*region).bytes : 0;
  record.stored_bytes = index.stored_bytes(parameter);
  if (!parameter.frame) return record;
  const DeltaFrame& frame = *parameter.frame;
  record.lambda = static_cast<double>(frame.lambda);
  record.weight_density = share(frame.weights_kept, frame.n);
  record.moment_density = share(frame.moments_kept, frame.n);
  record.unchanged = share(frame.zero_residuals, frame.n);
  record.squared_error = frame.squared_error;
  record.squared_weight = frame.squared_weight;
  return record;
}

// The rule alpha / sqrt(mean exp_avg_sq) is not scale free: it fits models of some hundred million parameters.
void warn_of_lambda(const std::vector<const DeltaFrame*>& frames, const Options& options,
                    std::vector<std::string>& warnings) {
  if (options.lambda || options.target_sparsity) return;
  std::vector<double> lambdas;
  for (const DeltaFrame* frame : frames) {
    if (frame->has(kSecond)) lambdas.push_back(static_cast<double>(frame->lambda));
  }
  if (lambdas.empty()) {
    warnings.emplace_back("no tensor has second moments, so --alpha prunes nothing; give --lambda");
    return;
  }
  const auto [least, most] = std::minmax_element(lambdas.begin(), lambdas.end());
  if (*most < 0.2) {
    warnings.push_back(
        fmt::format("alpha {:g} gives lambdas of {:.3f} at most, which prunes almost nothing here; "
                    "--lambda 1 is a good start",
                    options.alpha, *most));
  } else if (*least >= options.lambda_cap) {
    warnings.push_back(
        fmt::format("alpha {:g} puts every lambda at the cap of {:g}, the strongest pruning; check the "
                    "loss after restoring, or give --lambda",
                    options.alpha, options.lambda_cap));
  }
}

void warn_of_unchanged(const std::vector<const DeltaFrame*>& frames, const Options& options,
                       std::vector<std::string>& warnings) {
  const auto count = std::count_if(frames.begin(), frames.end(), [](const DeltaFrame* frame) {
    return frame->zero_residuals < frame->n && 2 * frame->zero_residuals > frame->n;
  });
  if (count == 0 || options.median_of_nonzeros || options.target_sparsity) return;
  warnings.push_back(
      fmt::format("{} of {} tensors changed in less than half of their elements: their median change is 0 and "
                  "nothing of them is pruned; --median-of-nonzeros prunes them too",
                  count, frames.size()));
}

void warn_of_fallbacks(const StepIndex& index, std::vector<std::string>& warnings) {
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const StoredParameter& parameter : index.parameters) {
    const bool expected =
        parameter.fallback.find("--exact-1d") != std::string::npos || parameter.fallback == "too small to prune";
    if (!parameter.fallback.empty() && !expected) by_reason[parameter.fallback].push_back(parameter.name);
  }
  for (const auto& [reason, names] : by_reason) {
    warnings.push_back(fmt::format("stored without loss because they are {}: {}{}", reason, names.front(),
                                   names.size() > 1 ? fmt::format(" and {} more", names.size() - 1) : ""));
  }
}

}  // namespace

StepInfo info_of(const StepFile& step, std::string file) {
  const StepIndex& index = step.index();
  StepInfo info;
  info.step = index.step;
  info.key = index.is_key();
  info.lossy = index.lossy;
  info.parent = index.parent;
  info.original_bytes = index.original_bytes();
  info.stored_bytes = step.size();
  info.file = std::move(file);
  info.hash = step.hash();
  return info;
}

std::vector<TensorRecord> records_of(const StepIndex& index) {
  std::vector<TensorRecord> records;
  for (const StoredParameter& parameter : index.parameters) records.push_back(record_of(index, parameter));
  return records;
}

std::vector<std::string> warnings_of(const StepIndex& index, const Options& options, const AddReport& report) {
  std::vector<std::string> warnings;
  if (index.parameters.empty()) {
    warnings.emplace_back("no weights were found in this checkpoint; everything is stored byte for byte");
  }
  std::vector<const DeltaFrame*> frames;
  for (const StoredParameter& parameter : index.parameters) {
    if (parameter.frame) frames.push_back(&*parameter.frame);
  }
  if (!frames.empty()) {
    warn_of_lambda(frames, options, warnings);
    warn_of_unchanged(frames, options, warnings);
  }
  if (!index.is_key() && !options.lossless) warn_of_fallbacks(index, warnings);
  if (!frames.empty() && report.info.stored_bytes * 4 > report.info.original_bytes) {
    warnings.push_back(
        fmt::format("the step shrank only {:.1f}x; if training was restarted here, a new store (or "
                    "--key-every 1 once) starts a fresh chain",
                    share(report.info.original_bytes, report.info.stored_bytes)));
  }
  return warnings;
}

}  // namespace kinglet::excp
