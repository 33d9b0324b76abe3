// The codec beyond the golden checks: all options, dtypes, sizes, optimizers, bad values, damaged bytes.
#include "kinglet/methods/excp/delta_codec.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/methods/excp/delta_harness.h"

namespace kinglet::excp {
namespace {

using testing::HasSubstr;
using namespace testing_support;

Options options_of(double lambda = 1) {
  Options options;
  options.lambda = lambda;
  return options;
}

double mean_square_error(const Floats& a, const Floats& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    total += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return total / static_cast<double>(a.size());
}

void expect_round_trip(const TestParameter& parameter, const Options& options) {
  const Encoded encoded = encode(parameter, options);
  const Decoded decoded = decode(encoded, parameter.previous);
  EXPECT_TRUE(same_bits(decoded.weight, encoded.reference));
  for (std::size_t i = 0; i < parameter.weight.size(); ++i) {
    ASSERT_TRUE(std::isfinite(decoded.weight[i]) && std::isfinite(decoded.first[i]) && decoded.second[i] >= 0) << i;
  }
}

TEST(DeltaCodec, EveryOptionRoundTrips) {
  const TestParameter parameter = trained_parameter(70001, 1);
  for (const int bits : {1, 2, 4, 8}) {
    for (const Coder coder : {Coder::kRans, Coder::kZstd, Coder::kXz}) {
      for (const bool joint : {true, false}) {
        Options options = options_of();
        options.weight_bits = bits;
        options.moment_bits = 9 - bits > 4 ? 8 : 2;
        options.coder = coder;
        options.joint_coding = joint;
        SCOPED_TRACE(testing::Message() << bits << " bits, coder " << static_cast<int>(coder) << ", joint " << joint);
        expect_round_trip(parameter, options);
      }
    }
  }
  expect_round_trip(parameter, paper_options());
}

TEST(DeltaCodec, EverySizeRoundTrips) {
  for (const std::size_t n : {1U, 2U, 15U, 16U, 4095U, 16384U, 16385U, 1U << 20, (1U << 20) + 1}) {
    SCOPED_TRACE(n);
    expect_round_trip(trained_parameter(n, n), options_of());
  }
}

TEST(DeltaCodec, JointCodingChangesOnlyTheSize) {
  const TestParameter parameter = trained_parameter(300000, 2);
  Options separate = options_of(2.5);
  separate.joint_coding = false;
  const Encoded a = encode(parameter, options_of(2.5)), b = encode(parameter, separate);
  const Decoded x = decode(a, parameter.previous), y = decode(b, parameter.previous);
  EXPECT_TRUE(same_bits(x.weight, y.weight) && same_bits(x.first, y.first) && same_bits(x.second, y.second));
  EXPECT_LT(a.payload_bytes(), b.payload_bytes() * 95 / 100);
}

TEST(DeltaCodec, TheRecordedErrorIsTheErrorOfTheReconstruction) {
  const TestParameter parameter = trained_parameter(2 * kBlockElements + 77, 5);
  Options options;
  options.lambda = 1;
  const Encoded encoded = encode(parameter, options);
  double error = 0, value = 0;
  for (std::size_t i = 0; i < parameter.weight.size(); ++i) {
    const auto weight = static_cast<double>(parameter.weight[i]);
    error += std::pow(weight - static_cast<double>(encoded.reference[i]), 2);
    value += weight * weight;
  }
  EXPECT_GT(error, 0);
  EXPECT_NEAR(encoded.frame.squared_error, error, 1e-9 * error);
  EXPECT_NEAR(encoded.frame.squared_weight, value, 1e-9 * value);
}

TEST(DeltaCodec, LargerLambdaPrunesMore) {
  const TestParameter parameter = trained_parameter(100000, 3);
  std::uint64_t before = UINT64_MAX;
  double error_before = -1;
  for (const double lambda : {0.0, 0.5, 1.0, 1.5, 2.0, 2.5}) {
    const Encoded encoded = encode(parameter, options_of(lambda));
    const double error = mean_square_error(encoded.reference, parameter.weight);
    EXPECT_LT(encoded.payload_bytes(), before) << lambda;
    // At lambda 0 the fifteen centres must also cover what is near zero, so the error starts higher.
    if (lambda > 0.5) {
      EXPECT_GT(error, error_before) << lambda;
    }
    before = encoded.payload_bytes();
    error_before = error;
  }
}

TEST(DeltaCodec, TargetSparsityIsMet) {
  const TestParameter parameter = trained_parameter(100000, 4);
  for (const double sparsity : {0.0, 0.5, 0.9, 0.99}) {
    Options options;
    options.target_sparsity = sparsity;
    const Encoded encoded = encode(parameter, options);
    const double kept = static_cast<double>(encoded.frame.weights_kept) / 1e5;
    EXPECT_NEAR(kept, 1 - sparsity, 1e-4);
  }
}

TEST(DeltaCodec, AlphaRuleGivesThePapersLambda) {
  TestParameter parameter = trained_parameter(50000, 5);
  parameter.second->assign(50000, 1.6e-9F);
  EXPECT_NEAR(encode(parameter, Options{}).frame.lambda, 1.25, 1e-4);
  parameter.second->assign(50000, 0.0F);
  EXPECT_EQ(encode(parameter, Options{}).frame.lambda, 2.5F);
  parameter.second.reset();
  EXPECT_EQ(encode(parameter, Options{}).frame.lambda, 0.0F);
}

TEST(DeltaCodec, ElementScopeKeepsMoreWhereTheSecondMomentIsLarge) {
  TestParameter parameter = trained_parameter(100000, 6);
  for (std::size_t i = 0; i < 100000; ++i) (*parameter.second)[i] = i % 2 == 0 ? 1e-8F : 1e-10F;
  Options options = options_of();
  options.scope = Scope::kElement;
  const Encoded encoded = encode(parameter, options);
  std::size_t even = 0, odd = 0;
  for (std::size_t i = 0; i < 100000; ++i) {
    if (encoded.reference[i] != parameter.previous[i]) ++(i % 2 == 0 ? even : odd);
  }
  EXPECT_GT(even, 2 * odd);
  EXPECT_TRUE(same_bits(decode(encoded, parameter.previous).weight, encoded.reference));
}

TEST(DeltaCodec, FrozenTensorKeepsItsMoments) {
  TestParameter parameter = trained_parameter(20000, 7);
  parameter.weight = parameter.previous;
  const Encoded encoded = encode(parameter, options_of());
  EXPECT_EQ(encoded.frame.zero_residuals, 20000U);
  EXPECT_GT(encoded.frame.moments_kept, 500U);
  const Decoded decoded = decode(encoded, parameter.previous);
  EXPECT_EQ(std::count_if(decoded.first.begin(), decoded.first.end(), [](float x) { return x != 0; }),
            static_cast<std::ptrdiff_t>(encoded.frame.moments_kept));
}

TEST(DeltaCodec, MostlyZeroResidualsNeedTheMedianOfTheOthers) {
  TestParameter parameter = trained_parameter(30000, 8);
  for (std::size_t i = 0; i < 20000; ++i) parameter.weight[i] = parameter.previous[i];
  const Encoded plain = encode(parameter, options_of());
  EXPECT_EQ(plain.frame.weight_threshold, 0.0F);
  EXPECT_EQ(plain.frame.weights_kept, 10000U - static_cast<std::uint64_t>(plain.frame.zero_residuals - 20000));
  Options options = options_of();
  options.median_of_nonzeros = true;
  EXPECT_NEAR(static_cast<double>(encode(parameter, options).frame.weights_kept), 5000, 50);
}

TEST(DeltaCodec, RowMeansFillPrunedSecondMoments) {
  TestParameter parameter = trained_parameter(128 * 100, 9);
  parameter.row_length = 128;
  for (std::size_t i = 0; i < 12800; ++i) {
    const std::size_t row = i / 128;
    (*parameter.second)[i] = 1e-9F * static_cast<float>(1 + row);
  }
  Options options = options_of();
  options.fill_pruned_second = true;
  const Encoded encoded = encode(parameter, options);
  const Decoded decoded = decode(encoded, parameter.previous);
  for (std::size_t i = 0; i < 12800; ++i) {
    if (decoded.first[i] != 0) continue;  // kept, so quantised
    ASSERT_NEAR(decoded.second[i], (*parameter.second)[i], 1e-6 * static_cast<double>((*parameter.second)[i])) << i;
  }
}

TEST(DeltaCodec, OtherOptimizers) {
  TestParameter amsgrad = trained_parameter(40000, 10);
  amsgrad.max_second = amsgrad.second;
  for (float& value : *amsgrad.max_second) value *= 1.5F;
  const Encoded encoded = encode(amsgrad, options_of());
  const Decoded decoded = decode(encoded, amsgrad.previous);
  for (std::size_t i = 0; i < 40000; ++i) ASSERT_EQ(decoded.max_second[i] > 0, decoded.second[i] > 0);
  TestParameter momentum = trained_parameter(40000, 11);
  momentum.second.reset();
  expect_round_trip(momentum, options_of());
  momentum.first.reset();
  expect_round_trip(momentum, options_of());
}

TEST(DeltaCodec, HalfPrecisionWeightsAreReadExactly) {
  const TestParameter parameter = trained_parameter(5000, 12);
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF64}) {
    Bytes stored(5000 * item_size(dtype) + 1);  // one byte off: unaligned, as in a file
    store_f32(parameter.weight.data(), 5000, dtype, stored.data() + 1);
    const NumberArray array{dtype, ByteView(stored).subspan(1)};
    Floats loaded(5000);
    load_f32(array, 0, 5000, loaded.data());
    const TestParameter rounded{parameter.previous, loaded, parameter.first, parameter.second, {}, 0};
    Floats reference = parameter.previous;
    DeltaInput input;
    input.name = "test.weight";
    input.n = 5000;
    input.weight = array;
    input.first_moment = view(*parameter.first);
    input.second_moment = view(*parameter.second);
    input.reference = reference;
    encode_delta(input, options_of(), [](ByteView) {});
    EXPECT_TRUE(same_bits(reference, encode(rounded, options_of()).reference));
    Bytes again(5000 * item_size(dtype));
    store_f32(loaded.data(), 5000, dtype, again.data());
    EXPECT_TRUE(std::equal(again.begin(), again.end(), stored.begin() + 1));
  }
}

template <typename Change>
void expect_refused(const std::string& message, const Change& change) {
  TestParameter parameter = trained_parameter(30000, 13);
  change(parameter);
  Floats reference = parameter.previous;
  try {
    encode(parameter, options_of());
    FAIL() << "accepted: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr(message));
    EXPECT_THAT(error.what(), HasSubstr("test.weight"));
  }
}

TEST(DeltaCodec, BadValuesAreRefusedWithCountAndName) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  expect_refused("2 of 30000 weights are NaN or infinite", [](TestParameter& parameter) {
    parameter.weight[5] = kNan;
    parameter.weight[29999] = kInfinity;
  });
  expect_refused("1 of 30000 first moments are NaN", [](TestParameter& parameter) { (*parameter.first)[0] = kNan; });
  expect_refused("1 of 30000 second moments are NaN",
                 [](TestParameter& parameter) { (*parameter.second)[20000] = kInfinity; });
  expect_refused("3 of 30000 second moments are negative", [](TestParameter& parameter) {
    for (const std::size_t i : {1U, 2U, 3U}) (*parameter.second)[i] = -1e-12F;
  });
}

TEST(DeltaCodec, WrongOptionsAreNamed) {
  const TestParameter parameter = trained_parameter(10, 14);
  const auto message = [&](auto change) {
    Options options = options_of();
    change(options);
    try {
      encode(parameter, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(message([](Options& o) { o.lambda = -1; }), HasSubstr("lambda"));
  EXPECT_THAT(message([](Options& o) { o.weight_bits = 3; }), HasSubstr("1, 2, 4 or 8"));
  EXPECT_THAT(message([](Options& o) { o.beta = std::nan(""); }), HasSubstr("beta"));
  EXPECT_THAT(message([](Options& o) { o.target_sparsity = 0.5; }), HasSubstr("target-sparsity"));
  EXPECT_THAT(message([](Options& o) { o.key_every = 0; }), HasSubstr("key-every"));
}

TEST(DeltaCodec, DamagedPayloadsAreDetected) {
  const TestParameter parameter = trained_parameter(20000, 15);
  const Encoded encoded = encode(parameter, options_of());
  Rng rng(16);
  for (int i = 0; i < 300; ++i) {
    Encoded damaged = encoded;
    Bytes& payload = damaged.payloads[0];
    if (i % 3 == 0)
      payload.resize(rng.below(payload.size()));
    else
      payload[rng.below(payload.size())] ^= static_cast<std::byte>(1U << rng.below(8));
    EXPECT_THROW(decode(damaged, parameter.previous), Error);
  }
  Floats other = parameter.previous;
  other[100] += 1.0F;  // a wrong parent
  EXPECT_THROW(decode(encoded, other), Error);
}

// The decoder below the checksums: any frame bytes and any payload give an error or a result, never a crash.
TEST(DeltaCodec, HostileFramesNeverCrash) {
  const TestParameter parameter = trained_parameter(3000, 17);
  Options options = options_of();
  options.fill_pruned_second = true;
  const Encoded encoded = encode(parameter, options);
  Bytes bytes;
  append_frame(encoded.frame, bytes);
  Rng rng(18);
  int parsed = 0;
  for (int i = 0; i < 20000; ++i) {
    Bytes damaged = bytes;
    for (std::uint64_t flips = 1 + rng.below(3); flips > 0; --flips) {
      damaged[rng.below(damaged.size())] = static_cast<std::byte>(rng.below(256));
    }
    if (i % 10 == 0) damaged.resize(rng.below(damaged.size()));
    try {
      DeltaFrame frame = parse_frame(damaged, "test");
      ++parsed;
      if (frame.n > 100000) continue;
      for (std::uint64_t block = 0; block < frame.blocks.size(); ++block) {
        Floats weight(block_size(frame.n, block)), first(weight.size()), second(weight.size()), third(weight.size());
        decode_block(frame, block, encoded.payloads[0], {weight, first, second, third}, "test", false);
      }
    } catch (const Error&) {
    }
  }
  EXPECT_GT(parsed, 1000);
}

}  // namespace
}  // namespace kinglet::excp
