// The Memory Layer: golden values of its equations, properties, and kernels against the plain loops at every
// instruction set, number type and layout.
#include "kinglet/kernels/memory_layer.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kernels/memory_layer_cases.h"
#include "tests/kernels/simd_levels.h"

#include "kinglet/base/rng.h"
#include "kinglet/kernels/memory_gradient.h"
#include "kinglet/kernels/memory_reference.h"
#include "kinglet/kernels/memory_tables.h"

namespace kinglet {
namespace {

using testing::ElementsAre;
using testing_support::at_every_simd_level;
using testing_support::kScores;
using testing_support::largest_difference;
using testing_support::Layer;
using testing_support::LayerCase;
using testing_support::normal;

TEST(MemoryChunk, GoldenWeights) {
  const double z[4] = {0.5, -1.0, 2.0, -0.25};
  const auto weight = [&](MemoryScore score, double t) { return MemoryChunk<double>({score, t}, 4, z).weight; };
  EXPECT_NEAR(weight(MemoryScore::kProb, 1.0), 0.39360137884, 1e-11);
  EXPECT_NEAR(weight(MemoryScore::kProb, 0.5), 0.63212062996, 1e-11);
  EXPECT_NEAR(weight(MemoryScore::kProb, 2.0), 0.22532621043, 1e-11);
  EXPECT_NEAR(weight(MemoryScore::kSumProb, 1.0), 1.47600517065, 1e-11);
  EXPECT_EQ(weight(MemoryScore::kNone, 1.0), 1.0);
  EXPECT_EQ(MemoryChunk<double>({}, 4, z).code, 5);
}

TEST(MemoryChunk, WeightIsTheSoftmaxOverAllRows) {
  Rng rng(1);
  for (const int bits : {1, 2, 4, 7}) {
    for (const double t : {0.5, 1.0, 3.0}) {
      std::vector<double> z(static_cast<std::size_t>(bits));
      for (double& value : z) value = rng.normal();
      double sum = 0, best = -1e30;
      std::uint32_t winner = 0;
      for (std::uint32_t row = 0; row < 1U << bits; ++row) {
        double likeness = 0;
        for (int i = 0; i < bits; ++i)
          likeness += (row >> i & 1U) != 0 ? z[static_cast<std::size_t>(i)] : -z[static_cast<std::size_t>(i)];
        sum += std::exp(likeness / t);
        if (likeness > best) best = likeness, winner = row;
      }
      const MemoryChunk<double> chunk({MemoryScore::kProb, t}, bits, z.data());
      EXPECT_EQ(chunk.code, winner);
      EXPECT_NEAR(chunk.weight, std::exp(best / t) / sum, 1e-12);
    }
  }
}

TEST(MemoryChunk, GoldenSlopes) {
  const double z[4] = {0.5, -1.0, 2.0, -0.25};
  const double of_p[4] = {0.2117114286, -0.0938368689, 0.0141587941, -0.2972010556};
  const double of_sum[4] = {1.1875192359, -0.7454896374, 0.4466968567, -1.5081053373};
  double slope[4];
  const MemoryChunk<double> p({MemoryScore::kProb, 1.0}, 4, z, slope);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(slope[i], of_p[i], 1e-10);
  const MemoryChunk<double> sum({MemoryScore::kSumProb, 1.0}, 4, z, slope);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(slope[i], of_sum[i], 1e-10);
}

TEST(MemoryChunk, SlopesAreThoseOfTheWeight) {
  Rng rng(2);
  for (const MemoryScore score : kScores) {
    for (const double t : {0.5, 1.0, 2.0}) {
      double z[6], slope[6];
      for (double& value : z) value = rng.normal() + (value < 0 ? -0.1 : 0.1);
      const MemoryWeighting weighting{score, t};
      const MemoryChunk<double> chunk(weighting, 6, z, slope);
      // The adaptive temperature is a constant for the gradient: so it is for the difference.
      const double p = MemoryChunk<double>({MemoryScore::kProb, t}, 6, z).weight;
      const bool adaptive = score == MemoryScore::kAdaptiveTemperature;
      const MemoryWeighting fixed = adaptive ? MemoryWeighting{MemoryScore::kProb, 2 * p * t} : weighting;
      EXPECT_NEAR(chunk.weight, MemoryChunk<double>(fixed, 6, z).weight, 1e-12);
      for (int i = 0; i < 6; ++i) {
        const double at = z[i], step = 1e-5;
        z[i] = at + step;
        const double more = MemoryChunk<double>(fixed, 6, z).weight;
        z[i] = at - step;
        const double less = MemoryChunk<double>(fixed, 6, z).weight;
        z[i] = at;
        EXPECT_NEAR(slope[i], (more - less) / (2 * step), 1e-7 * (1 + std::abs(slope[i])));
      }
    }
  }
}

TEST(MemoryChunk, AtTheLimits) {
  const double zeros[4] = {0.0, -0.0, 0.0, 0.0}, huge[4] = {1e6, -1e7, 1e9, 2e6};
  EXPECT_EQ(MemoryChunk<double>({}, 4, zeros).code, 15);
  EXPECT_EQ(MemoryChunk<double>({}, 4, zeros).weight, 1.0 / 16);
  EXPECT_EQ(MemoryChunk<double>({MemoryScore::kSumProb, 1.0}, 4, zeros).weight, 0.0);
  EXPECT_EQ(MemoryChunk<double>({}, 4, huge).weight, 1.0);
  double z[4] = {0.3, -2.0, 0.7, 1.1}, mirrored[4];
  for (int i = 0; i < 4; ++i) mirrored[i] = -z[i];
  const MemoryChunk<double> a({}, 4, z), b({}, 4, mirrored);
  EXPECT_EQ(a.weight, b.weight);
  EXPECT_EQ(a.code + b.code, 15);
  EXPECT_NEAR(MemoryChunk<double>({MemoryScore::kProb, 1e9}, 4, z).weight, 1.0 / 16, 1e-8);
  EXPECT_NEAR(MemoryChunk<double>({MemoryScore::kProb, 1e-3}, 4, z).weight, 1.0, 1e-12);
  for (double& value : z) value *= 3;
  EXPECT_NEAR(MemoryChunk<double>({MemoryScore::kProb, 3.0}, 4, z).weight, a.weight, 1e-12);
  EXPECT_EQ(MemoryChunk<double>({}, 4, z).code, a.code);
}

TEST(MemoryHash, ExtremeInputs) {
  at_every_simd_level([] {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
    const MemoryShape shape{1, 4, 1};
    std::vector<float> x = {infinity, -infinity, 1, 1, -0.0F, 0.0F, -0.0F, 0.0F, nan, 1, 1, 1, 1, 1, nan, 1};
    for (const MemoryScore score : kScores) {
      std::vector<std::uint16_t> codes(4);
      std::vector<float> weights(4);
      EXPECT_EQ(memory_hash(shape, {score, 1.0}, 4, x.data(), codes.data(), weights.data()), 2);
      EXPECT_EQ(memory_hash(shape, {score, 1.0}, 2, x.data(), codes.data(), weights.data()), -1);
      EXPECT_EQ(codes[0], 13);
      EXPECT_EQ(codes[1], 15);
      EXPECT_TRUE(std::isfinite(weights[0])) << weights[0];
    }
  });
}

TEST(MemoryLayer, WorkedExample) {
  const MemoryShape shape{2, 2, 3};
  const float x[4] = {0.7F, -0.1F, -0.5F, 0.2F};
  std::vector<float> tables(24);
  for (std::size_t k = 0; k < 2; ++k) {
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t c = 0; c < 3; ++c) {
        tables[(k * 4 + i) * 3 + c] =
            static_cast<float>(0.1 * static_cast<double>((k + 1) * (i + 1)) + 0.01 * static_cast<double>(c));
      }
    }
  }
  at_every_simd_level([&] {
    std::vector<std::uint16_t> codes(2);
    std::vector<float> weights(2), y(3);
    memory_hash(shape, {}, 1, x, codes.data(), weights.data());
    EXPECT_THAT(codes, ElementsAre(1, 2));
    EXPECT_NEAR(weights[0], 0.4410679740, 1e-6);
    EXPECT_NEAR(weights[1], 0.4376757498, 1e-6);
    memory_gather(shape, {tables.data()}, 1, codes.data(), weights.data(), nullptr, y.data());
    EXPECT_NEAR(y[0], 0.3508190447, 1e-6);
    EXPECT_NEAR(y[1], 0.3596064820, 1e-6);
    EXPECT_NEAR(y[2], 0.3683939192, 1e-6);
    memory_hash(shape, {MemoryScore::kSumProb, 1.0}, 1, x, codes.data(), weights.data());
    EXPECT_NEAR(weights[0], 0.3528543792, 1e-6);
    EXPECT_NEAR(weights[1], 0.3063730249, 1e-6);
    memory_gather(shape, {tables.data()}, 1, codes.data(), weights.data(), nullptr, y.data());
    EXPECT_NEAR(y[0], 0.2543946908, 1e-6);
    EXPECT_NEAR(y[1], 0.2609869648, 1e-6);
    EXPECT_NEAR(y[2], 0.2675792388, 1e-6);
  });
}

TEST(MemoryLayer, OneBitIsASignMatrixProduct) {
  const std::int64_t d = 37, h = 21;
  const MemoryShape shape{d, 1, h};
  const std::vector<float> w = normal(d * h, 1), x = normal(d, 2);
  std::vector<float> tables(static_cast<std::size_t>(2 * d * h)), y(static_cast<std::size_t>(h)), weights(d);
  for (std::size_t k = 0; k < static_cast<std::size_t>(d); ++k) {
    for (std::size_t j = 0; j < static_cast<std::size_t>(h); ++j) {
      tables[(2 * k + 1) * h + j] = w[k * h + j];
      tables[2 * k * h + j] = -w[k * h + j];
    }
  }
  std::vector<std::uint16_t> codes(d);
  memory_hash(shape, {MemoryScore::kNone, 1.0}, 1, x.data(), codes.data(), weights.data());
  memory_gather(shape, {tables.data()}, 1, codes.data(), weights.data(), nullptr, y.data());
  for (std::size_t j = 0; j < static_cast<std::size_t>(h); ++j) {
    double expected = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(d); ++k)
      expected += (x[k] >= 0 ? 1.0 : -1.0) * static_cast<double>(w[k * h + j]);
    EXPECT_NEAR(y[j], expected, 1e-5);
  }
}

TEST(MemoryLayer, TheOneTableOfAllInputs) {
  const MemoryShape shape{1, 12, 3};
  const std::vector<float> x = normal(12, 5), tables = normal(shape.rows() * 3, 6);
  std::uint16_t code = 0;
  float weight = 0, y[3];
  memory_hash(shape, {MemoryScore::kNone, 1.0}, 1, x.data(), &code, &weight);
  memory_gather(shape, {tables.data()}, 1, &code, &weight, nullptr, y);
  for (std::size_t j = 0; j < 3; ++j) EXPECT_EQ(y[j], tables[code * 3U + j]);
}

// Of x ~ N(0, 1), 8 and 10 bits.
TEST(MemoryHash, StatisticsAtInitialisation) {
  struct Expected {
    int bits;
    double p, p2, sp, sp2;
  };
  for (const Expected& expected :
       {Expected{8, .1342, .02376, .9685, 1.5945}, Expected{10, .0812, .00931, .7322, .9661}}) {
    const std::int64_t chunks = 100'000;
    const MemoryShape shape{chunks, expected.bits, 1};
    const std::vector<float> x = normal(shape.inputs(), 9);
    std::vector<std::uint16_t> codes(static_cast<std::size_t>(chunks));
    std::vector<float> p(codes.size()), sp(codes.size());
    memory_hash(shape, {MemoryScore::kProb, 1.0}, 1, x.data(), codes.data(), p.data());
    memory_hash(shape, {MemoryScore::kSumProb, 1.0}, 1, x.data(), codes.data(), sp.data());
    const auto moment = [&](const std::vector<float>& w, int power) {
      double sum = 0;
      for (const float value : w) sum += std::pow(static_cast<double>(value), power);
      return sum / static_cast<double>(chunks);
    };
    EXPECT_NEAR(moment(p, 1), expected.p, 0.01 * expected.p);
    EXPECT_NEAR(moment(p, 2), expected.p2, 0.02 * expected.p2);
    EXPECT_NEAR(moment(sp, 1), expected.sp, 0.01 * expected.sp);
    EXPECT_NEAR(moment(sp, 2), expected.sp2, 0.02 * expected.sp2);
    if (expected.bits != 8) continue;
    std::vector<float> ones(codes.size(), 1.0F), slope(x.size());
    memory_hash_backward(shape, {MemoryScore::kProb, 1.0}, 1, x.data(), ones.data(), slope.data());
    const auto rms = [&] {
      return std::sqrt(std::inner_product(slope.begin(), slope.end(), slope.begin(), 0.0) /
                       static_cast<double>(slope.size()));
    };
    EXPECT_NEAR(rms(), .0663, .001);
    memory_hash_backward(shape, {MemoryScore::kSumProb, 1.0}, 1, x.data(), ones.data(), slope.data());
    EXPECT_NEAR(rms(), .630, .01);
  }
}

TEST(MemoryLayer, KernelsAreTheReference) {
  for (const LayerCase& c : testing_support::layer_cases()) {
    SCOPED_TRACE(testing::Message() << c.tokens << " tokens, " << c.tables << " tables, " << c.bits << " bits, width "
                                    << c.width);
    for (const MemoryScore score : kScores) {
      if (score != MemoryScore::kSumProb && c.bits % 4 != 0) continue;
      const Layer layer(c, score);
      at_every_simd_level([&] {
        std::vector<std::uint16_t> codes(layer.codes.size());
        std::vector<float> weights(layer.weights.size()), y(layer.y.size()), grad_x(layer.x.size());
        EXPECT_EQ(memory_hash(layer.shape, layer.weighting, c.tokens, layer.x.data(), codes.data(), weights.data()),
                  -1);
        EXPECT_EQ(codes, layer.codes);
        EXPECT_LT(largest_difference(weights, layer.weights), 1e-5);
        memory_gather(layer.shape, {layer.tables.data()}, c.tokens, codes.data(), weights.data(), layer.bias.data(),
                      y.data());
        EXPECT_LT(largest_difference(y, layer.y), 1e-5);
        memory_hash_backward(layer.shape, layer.weighting, c.tokens, layer.x.data(), layer.grad_weights.data(),
                             grad_x.data());
        EXPECT_LT(largest_difference(grad_x, layer.grad_x), 1e-5);
      });
    }
  }
}

TEST(MemoryLayer, EveryLayoutAndTypeIsTheReference) {
  for (const LayerCase& c : testing_support::layer_cases()) {
    SCOPED_TRACE(testing::Message() << c.tokens << " tokens, " << c.tables << " tables, " << c.bits << " bits, width "
                                    << c.width);
    const Layer layer(c);
    for (const TableLayout layout : {TableLayout::kRows, TableLayout::kColumnBlocks}) {
      for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
        const PackedTables packed(layer.shape, layer.tables.data(), dtype, layout);
        at_every_simd_level([&] {
          std::vector<float> y(layer.y.size());
          memory_gather(layer.shape, packed.view(), c.tokens, layer.codes.data(), layer.weights.data(),
                        layer.bias.data(), y.data());
          EXPECT_LT(largest_difference(y, layer.y), dtype == DType::kF32 ? 1e-5 : 2e-2) << dtype_name(dtype);
        });
      }
    }
  }
}

TEST(MemoryLayer, BackwardIsTheReference) {
  for (const LayerCase& c : testing_support::layer_cases()) {
    SCOPED_TRACE(testing::Message() << c.tokens << " tokens, " << c.tables << " tables, " << c.bits << " bits, width "
                                    << c.width);
    const Layer layer(c);
    const auto width = static_cast<std::size_t>(c.width);
    at_every_simd_level([&] {
      const TokensByRow by_row(layer.shape, c.tokens, layer.codes.data());
      std::vector<float> dense(layer.tables.size()), rows(by_row.rows().size() * width), scattered(dense.size());
      std::vector<float> grad_weights(layer.codes.size());
      memory_gather_backward(layer.shape, by_row, layer.tables.data(), layer.weights.data(), layer.slope.data(), true,
                             dense.data(), grad_weights.data());
      EXPECT_LT(largest_difference(dense, layer.grad_tables), 1e-5);
      EXPECT_LT(largest_difference(grad_weights, layer.grad_weights), 1e-5);
      memory_gather_backward(layer.shape, by_row, layer.tables.data(), layer.weights.data(), layer.slope.data(), false,
                             rows.data(), nullptr);
      for (std::size_t i = 0; i < by_row.rows().size(); ++i) {
        std::copy_n(rows.data() + i * width, width, scattered.data() + by_row.rows()[i].row * c.width);
      }
      EXPECT_EQ(scattered, dense);
    });
    std::vector<std::int64_t> rows_of(static_cast<std::size_t>(c.tables));
    const TokensByRow by_row(layer.shape, c.tokens, layer.codes.data());
    for (const auto& row : by_row.rows()) ++rows_of[static_cast<std::size_t>(row.row >> c.bits)];
    for (const std::int64_t count : rows_of) EXPECT_LE(count, std::min(c.tokens, layer.shape.rows_of_table()));
  }
}

TEST(MemoryLayer, GradientsOfATableSumToThoseOfItsTokens) {
  const Layer layer({65, 7, 4, 37});
  for (std::int64_t k = 0; k < 7; ++k) {
    for (std::int64_t j = 0; j < 37; ++j) {
      double rows = 0, tokens = 0;
      for (std::int64_t c = 0; c < 16; ++c)
        rows += static_cast<double>(layer.grad_tables[static_cast<std::size_t>((k * 16 + c) * 37 + j)]);
      for (std::int64_t n = 0; n < 65; ++n) {
        tokens += static_cast<double>(layer.weights[static_cast<std::size_t>(n * 7 + k)]) *
                  static_cast<double>(layer.slope[static_cast<std::size_t>(n * 37 + j)]);
      }
      EXPECT_NEAR(rows, tokens, 1e-4);
    }
  }
}

TEST(MemoryTables, ReversedBitsAreTheOtherOrder) {
  for (const int bits : {1, 2, 3, 8, 10}) {
    const MemoryShape shape{3, bits, 5};
    const std::vector<float> other = normal(shape.rows() * 5, 1), x = normal(shape.inputs(), 2);
    std::vector<float> ours = other;
    reverse_table_bits(3, bits, 5 * sizeof(float), ours.data());
    std::vector<std::uint16_t> codes(3);
    std::vector<float> weights(3);
    memory_hash(shape, {}, 1, x.data(), codes.data(), weights.data());
    for (std::size_t k = 0; k < 3; ++k) {
      std::size_t first_highest = 0;
      for (int i = 0; i < bits; ++i)
        first_highest =
            first_highest << 1 | (x[k * static_cast<std::size_t>(bits) + static_cast<std::size_t>(i)] >= 0 ? 1U : 0U);
      const std::size_t table = k << bits;
      for (std::size_t j = 0; j < 5; ++j)
        EXPECT_EQ(ours[(table + codes[k]) * 5 + j], other[(table + first_highest) * 5 + j]);
    }
    reverse_table_bits(3, bits, 5 * sizeof(float), ours.data());
    EXPECT_EQ(ours, other);
  }
}

TEST(MemoryTables, Bytes) {
  const auto bytes = [](std::int64_t tables, int bits, std::int64_t width) {
    return MemoryShape{tables, bits, width}.rows() * width * 2;
  };
  EXPECT_EQ(bytes(64, 8, 512), 16'777'216);
  EXPECT_EQ(bytes(64, 8, 640), 20'971'520);
  EXPECT_EQ(bytes(64, 10, 512), 67'108'864);
  EXPECT_EQ(bytes(64, 8, 512) + bytes(64, 8, 512), 33'554'432);
  EXPECT_EQ(bytes(64, 8, 576) + bytes(64, 9, 512), 52'428'800);
  EXPECT_EQ(bytes(64, 8, 704) + bytes(64, 11, 512), 157'286'400);
  EXPECT_EQ(bytes(128, 4, 512), 2'097'152);
  EXPECT_EQ(bytes(51, 10, 510), 53'268'480);
}

}  // namespace
}  // namespace kinglet
