#include "kinglet/methods/excp/options.h"

#include <cmath>

#include "kinglet/base/error.h"

namespace kinglet::excp {
namespace {

void require(bool condition, std::string_view option, std::string_view range) {
  if (!condition) throw bad_input(option, fmt::format("must be {}", range));
}

void require_bits(int bits, std::string_view option) {
  require(bits == 1 || bits == 2 || bits == 4 || bits == 8, option, "1, 2, 4 or 8");
}

}  // namespace

Options paper_options() {
  Options options;
  options.joint_coding = false;
  options.coder = Coder::kXz;
  options.fp16_codebooks = true;
  options.sampled_kmeans = true;
  return options;
}

void validate(const Options& options) {
  require(!options.lambda || (std::isfinite(*options.lambda) && *options.lambda >= 0), "lambda", "a number >= 0");
  require(!options.target_sparsity || (*options.target_sparsity >= 0 && *options.target_sparsity < 1),
          "target-sparsity", "at least 0 and below 1");
  require(!(options.lambda && options.target_sparsity), "target-sparsity", "left out when lambda is given");
  require(std::isfinite(options.alpha) && options.alpha >= 0, "alpha", "a number >= 0");
  require(options.lambda_cap > 0, "lambda-cap", "positive");
  require(std::isfinite(options.beta) && options.beta >= 0, "beta", "a number >= 0");
  require_bits(options.weight_bits, "bits of the weights");
  require_bits(options.moment_bits, "bits of the moments");
  require(options.key_every >= 1 && options.key_every <= 10000, "key-every", "between 1 and 10000");
}

}  // namespace kinglet::excp
