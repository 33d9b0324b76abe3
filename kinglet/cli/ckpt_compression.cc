#include "kinglet/cli/ckpt_compression.h"

#include <charconv>
#include <string_view>
#include <vector>

#include "kinglet/base/error.h"
#include "kinglet/cli/ckpt.h"

namespace kinglet::cli {
namespace {

// A value out of a few; the help shows them in place of a type.
CLI::Option* add_choice(CLI::App& command, const char* name, std::string& value,
                        const std::vector<std::string>& choices, const char* description) {
  return command.add_option(name, value, description)
      ->check(CLI::IsMember(choices).description(""))
      ->type_name(fmt::format("{}", fmt::join(choices, "|")));
}

void add_pruning_options(CLI::App& command, CompressionArguments& arguments) {
  command.add_flag("--lossless", arguments.lossless, "Keep every bit of everything");
  command
      .add_option("--lambda", arguments.lambda,
                  "Drop weight changes up to X times the median change of their tensor (0.5 careful, 1 a good start, "
                  "2.5 the published limit)")
      ->type_name("X");
  command
      .add_option(
          "--alpha", arguments.alpha,
          "The paper's rule: lambda = X / sqrt(mean exp_avg_sq) of each tensor, at most 2.5 (the default: 5e-5)")
      ->type_name("X");
  command
      .add_option("--target-sparsity", arguments.target_sparsity,
                  "Drop this share of the weight changes of each tensor, for example 0.9")
      ->type_name("X");
  command.add_option("--beta", arguments.beta, "Drop moments up to X times the mean |exp_avg| of their tensor (2)")
      ->type_name("X");
  command
      .add_option("--bits", arguments.bits,
                  "Bits for kept weights and moments, 1, 2, 4 or 8 each; one number for both (4)")
      ->type_name("W[,M]");
  add_choice(command, "--scope", arguments.scope, {"tensor", "element"},
             "One lambda for a tensor, or a smaller one where the second moment is large (tensor)");
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
  add_choice(command, "--coder", arguments.coder, {"rans", "zstd", "xz"}, "Entropy coder (rans)");
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

// --lossless, --lambda, --alpha and --target-sparsity are four answers to one question.
void require_one_rule(const CompressionArguments& arguments) {
  std::vector<std::string_view> given;
  if (arguments.lossless) given.emplace_back("--lossless");
  if (arguments.lambda) given.emplace_back("--lambda");
  if (arguments.alpha) given.emplace_back("--alpha");
  if (arguments.target_sparsity) given.emplace_back("--target-sparsity");
  if (given.size() <= 1) return;
  throw bad_input(given[1], fmt::format("cannot be combined with {}", given[0]), "give one of the two");
}

excp::Coder parse_coder(const std::string& name) {
  if (name == "zstd") return excp::Coder::kZstd;
  return name == "xz" ? excp::Coder::kXz : excp::Coder::kRans;
}

}  // namespace

void add_compression_options(CLI::App& command, CompressionArguments& arguments) {
  add_pruning_options(command, arguments);
  add_storing_options(command, arguments);
}

excp::AddSettings to_settings(const CompressionArguments& arguments) {
  require_one_rule(arguments);
  excp::AddSettings settings;
  excp::Options& options = settings.options;
  if (arguments.paper) options = excp::paper_options();
  options.lossless = arguments.lossless;
  options.lambda = arguments.lambda;
  options.target_sparsity = arguments.target_sparsity;
  options.alpha = arguments.alpha.value_or(options.alpha);
  options.beta = arguments.beta.value_or(options.beta);
  if (!arguments.bits.empty()) parse_bits(arguments.bits, options);
  if (arguments.scope == "element") options.scope = excp::Scope::kElement;
  if (!arguments.coder.empty()) options.coder = parse_coder(arguments.coder);
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
