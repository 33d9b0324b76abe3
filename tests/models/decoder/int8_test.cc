// Models rounded to int8: close to what they were, and refused where weights of full precision are needed.
#include "kinglet/nn/int8.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/golden_models.h"

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/generation.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/linear.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;

using testing_support::kGoldenModels;

double relative_error(const at::Tensor& value, const at::Tensor& expected) {
  return ((value - expected).norm() / expected.norm()).item<double>();
}

TEST(Int8, AMatrixComesBackWithinHalfAStep) {
  const at::Tensor matrix = torch::randn({37, 130});
  const nn::Int8Matrix rounded = nn::quantize_int8(matrix);
  const at::Tensor back = nn::dequantize_int8(rounded.values, rounded.scales);
  const at::Tensor steps = rounded.scales.repeat_interleave(64, 1).slice(1, 0, 130);
  EXPECT_TRUE(((back - matrix).abs() <= 0.501 * steps).all().item<bool>());
  const at::Tensor rows = at::tensor(std::vector<std::int64_t>{3, 36, 3, 0}, at::kLong).view({2, 2});
  EXPECT_TRUE(at::equal(nn::embedding_rows(rounded.values, rounded.scales, rows), at::embedding(back, rows)));
}

// Both ways to multiply: a few rows in fp32, many through bf16.
TEST(Int8, ProductsAreThoseOfTheRoundedMatrix) {
  const at::NoGradGuard no_grad;
  const at::Tensor matrix = torch::randn({70, 96}), bias = torch::randn({70});
  const nn::Int8Matrix rounded = nn::quantize_int8(matrix);
  const at::Tensor back = nn::dequantize_int8(rounded.values, rounded.scales);
  for (const auto& [rows, bound] : {std::pair<std::int64_t, double>{1, 1e-6}, {16, 1e-6}, {17, 5e-3}, {100, 5e-3}}) {
    const at::Tensor x = torch::randn({rows, 96});
    EXPECT_LT(relative_error(nn::linear(x, rounded.values, bias, rounded.scales), nn::linear(x, back, bias)), bound);
  }
}

class Int8Of : public testing::TestWithParam<const char*> {};

TEST_P(Int8Of, LogitsStayClose) {
  const at::NoGradGuard no_grad;
  const auto exact = load_decoder(kGoldenModels / GetParam());
  const auto rounded = load_decoder(kGoldenModels / GetParam(), WeightType::kInt8);
  EXPECT_TRUE(rounded->is_int8());
  rounded->round_to_int8();  // once is enough
  DecoderInput input;
  input.tokens = at::tensor(std::vector<std::int64_t>{5, 17, 3, 9, 40, 41}, at::kLong).unsqueeze(0);
  const at::Tensor expected = exact->logits(exact->forward(input));
  EXPECT_LT(relative_error(rounded->logits(rounded->forward(input)), expected), 0.04);
}

INSTANTIATE_TEST_SUITE_P(Families, Int8Of, testing::Values("llama3", "gemma3", "gpt2", "gpt_neox", "qwen3", "opt"));

TEST(Int8, IsNeitherTrainedNorSaved) {
  const auto decoder = load_decoder(kGoldenModels / "llama3", WeightType::kInt8);
  EXPECT_THROW(save_decoder(fs::path(testing::TempDir()) / "int8_model", *decoder), Error);
  const nn::Int8Matrix rounded = nn::quantize_int8(torch::randn({4, 8}));
  const at::Tensor x = torch::randn({2, 8}).requires_grad_(true);
  EXPECT_THROW(nn::linear(x, rounded.values, {}, rounded.scales), std::exception);
  EXPECT_THROW(weight_type_of("int4"), Error);
}

}  // namespace
}  // namespace kinglet
