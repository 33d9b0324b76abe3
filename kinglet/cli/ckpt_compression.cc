#include "kinglet/cli/ckpt_compression.h"

#include <charconv>
#include <map>

#include "kinglet/base/error.h"
#include "kinglet/cli/ckpt.h"

namespace kinglet::cli {
namespace {

void add_pruning_options(CLI::App& command, CompressionArguments& arguments) {
  CLI::Option* lossless = command.add_flag("--lossless", arguments.lossless, "Keep every bit of everything");
  CLI::Option* lambda =
      command.add_option("--lambda", arguments.lambda,
                         "Drop weight changes up to X times the median change of their tensor (0.5 careful, 1 a good "
                         "start, 2.5 the published limit)");
  CLI::Option* alpha = command.add_option(
      "--alpha", arguments.alpha,
      "The paper's rule: lambda = X / sqrt(mean exp_avg_sq) of each tensor, at most 2.5 (default, 5e-5)");
  CLI::Option* sparsity = command.add_option("--target-sparsity", arguments.target_sparsity,
                                             "Drop this share of the weight changes of each tensor, for example 0.9");
  const std::vector<CLI::Option*> rules = {lossless, lambda, alpha, sparsity};
  for (CLI::Option* rule : rules) {
    for (CLI::Option* other : rules) {
      if (rule != other) rule->excludes(other);
    }
    if (rule != lossless) rule->type_name("X");
  }
  command.add_option("--beta", arguments.beta, "Drop moments up to X times the mean |exp_avg| of their tensor (2)")
      ->type_name("X");
  command.add_option("--bits", arguments.bits, "Bits for kept weights and moments: 1, 2, 4 or 8 (4,4)")
      ->type_name("W[,M]");
  command
      .add_option("--scope", arguments.scope,
                  "tensor: one lambda a tensor; element: smaller where the second moment is large (tensor)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, excp::Scope>{{"tensor", excp::Scope::kTensor}, {"element", excp::Scope::kElement}}))
      ->type_name("tensor|element");
  command.add_flag("--exact-1d", arguments.exact_1d, "Keep biases and norms (1-D tensors) bit-exact");
  command.add_flag("--fill-pruned", arguments.fill_pruned, "Restore dropped second moments as their row mean, not 0");
  command.add_flag("--median-of-nonzeros", arguments.median_of_nonzeros,
                   "Leave unchanged weights out of the median (rarely used embeddings, bf16 weights)");
  command.add_flag("--no-joint-mask", arguments.no_joint_mask, "Prune moments by --beta alone (for experiments)")
      ->group("");
}

void add_storing_options(CLI::App& command, CompressionArguments& arguments) {
  command.add_flag("--paper", arguments.paper,
                   "The published settings and layout, for comparison: fp16 centres, sampled k-means, xz");
  command.add_option("--coder", arguments.coder, "Entropy coder (rans)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, excp::Coder>{
          {"rans", excp::Coder::kRans}, {"zstd", excp::Coder::kZstd}, {"xz", excp::Coder::kXz}}))
      ->type_name("rans|zstd|xz");
  command.add_option("--key-every", arguments.key_every, "A complete, lossless frame after so many deltas (20)")
      ->type_name("N");
  command.add_flag("--allow-nonfinite", arguments.allow_nonfinite,
                   "Keep tensors with NaN or infinity losslessly instead of refusing the checkpoint");
  command.add_flag("--verify", arguments.verify, "Read back and compare before the step counts as stored");
  command.add_flag("--replace", arguments.replace,
                   "Delete the original checkpoint once the stored step was verified (implies --verify)");
  add_param_order_option(command, arguments.param_order);
  command.add_flag("--trust-order", arguments.trust_order, "Skip the self-check of the pairing of weights and moments");
}

void parse_bits(const std::string& text, excp::Options& options) {
  int values[2] = {0, 0};
  const char* at = text.data();
  const char* end = at + text.size();
  int count = 0;
  for (; count < 2; ++count) {
    const auto [after, error] = std::from_chars(at, end, values[count]);
    if (error != std::errc()) break;
    at = after;
    if (at == end || *at != ',') {
      ++count;
      break;
    }
    ++at;
  }
  if (count == 0 || at != end) {
    throw bad_input("--bits", fmt::format("'{}' is not W or W,M", text), "for example --bits 4 or --bits 8,4");
  }
  options.weight_bits = values[0];
  options.moment_bits = count == 2 ? values[1] : values[0];
}

}  // namespace

void add_compression_options(CLI::App& command, CompressionArguments& arguments) {
  add_pruning_options(command, arguments);
  add_storing_options(command, arguments);
}

excp::AddSettings to_settings(const CompressionArguments& arguments) {
  excp::AddSettings settings;
  excp::Options& options = settings.options;
  if (arguments.paper) options = excp::paper_options();
  options.lossless = arguments.lossless;
  options.lambda = arguments.lambda;
  options.target_sparsity = arguments.target_sparsity;
  options.alpha = arguments.alpha.value_or(options.alpha);
  options.beta = arguments.beta.value_or(options.beta);
  if (!arguments.bits.empty()) parse_bits(arguments.bits, options);
  options.scope = arguments.scope.value_or(options.scope);
  options.coder = arguments.coder.value_or(options.coder);
  options.exact_1d = arguments.exact_1d;
  options.fill_pruned_second = arguments.fill_pruned;
  options.median_of_nonzeros = arguments.median_of_nonzeros;
  options.joint_mask = !arguments.no_joint_mask;
  options.key_every = arguments.key_every.value_or(options.key_every);
  options.allow_nonfinite = arguments.allow_nonfinite;
  excp::validate(options);
  settings.reading.parameter_order = arguments.param_order;
  settings.reading.trust_order = arguments.trust_order;
  settings.verify = arguments.verify;
  settings.replace = arguments.replace;
  return settings;
}

}  // namespace kinglet::cli
