// The entropy coder: round trips of every mode, sizes near the entropy, and damaged blocks.
#include "kinglet/kernels/rans.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using Symbols = std::vector<std::uint8_t>;

// Zero with probability 1 - density, else uniform over 1..classes-1.
Symbols sparse(std::size_t n, double density, std::uint64_t classes, std::uint64_t seed) {
  Rng rng(seed);
  Symbols symbols(n);
  for (auto& symbol : symbols) {
    symbol = static_cast<std::uint8_t>(rng.uniform() < density ? 1 + rng.below(classes - 1) : 0);
  }
  return symbols;
}

Bytes encode(const Symbols& symbols) {
  Bytes out;
  rans_encode(symbols, out);
  return out;
}

void expect_round_trip(const Symbols& symbols) {
  const Bytes coded = encode(symbols);
  Symbols decoded(symbols.size(), 99);
  rans_decode(coded, decoded, "test");
  ASSERT_EQ(decoded, symbols);
  EXPECT_LE(coded.size(), symbols.size() + 1);
}

TEST(Rans, RoundTripsOfAllSizesAndDistributions) {
  for (const std::size_t n : {0U, 1U, 2U, 7U, 8U, 9U, 4095U, 4096U, 4097U, 70000U}) {
    for (const double density : {0.0, 0.001, 0.1, 0.5, 1.0}) {
      for (const std::uint64_t classes : {2U, 16U, 33U, 256U})
        expect_round_trip(sparse(n, density, classes, n + classes));
    }
    expect_round_trip(Symbols(n, 200));
  }
}

TEST(Rans, RareSymbolsAndAlmostConstantStreams) {
  Symbols symbols(100000, 5);
  symbols[77777] = 250;
  expect_round_trip(symbols);
  for (std::size_t i = 0; i < 256; ++i) symbols[i * 300] = static_cast<std::uint8_t>(i);  // 255 symbols occur once
  expect_round_trip(symbols);
  // A steep geometric distribution: rounding up the rare ones takes from the common ones.
  Symbols geometric;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    geometric.insert(geometric.end(), symbol < 16 ? std::size_t{1} << (16 - symbol) : 1,
                     static_cast<std::uint8_t>(symbol));
  }
  expect_round_trip(geometric);
}

// Specification, section 6, E4: within 1 % of the order-0 entropy at 10 % and 6 % at 1.4 % non-zero classes.
TEST(Rans, SizeIsCloseToTheEntropy) {
  for (const auto& [density, slack] : {std::pair{0.1, 1.01}, std::pair{0.014, 1.06}}) {
    const Symbols symbols = sparse(std::size_t{1} << 20, density, 16, 7);
    const double entropy = order0_entropy_bits(symbols) / 8;
    const auto coded = static_cast<double>(encode(symbols).size());
    EXPECT_GE(coded, entropy);
    EXPECT_LE(coded, entropy * slack);
    EXPECT_NEAR(rans_model(count_symbols(symbols)).bytes, coded, 32);
  }
}

TEST(Rans, EntropyOfKnownStreams) {
  EXPECT_DOUBLE_EQ(order0_entropy_bits(Symbols{0, 1, 2, 3}), 8.0);
  EXPECT_DOUBLE_EQ(order0_entropy_bits(Symbols{7, 7, 7}), 0.0);
  EXPECT_NEAR(order0_entropy_bits(sparse(1000000, 0.1, 16, 1)) / 1e6, 0.469 + 0.391, 0.01);
}

TEST(Rans, EveryTruncationIsRefused) {
  for (const std::size_t n : {100U, 5000U}) {
    const Symbols symbols = sparse(n, 0.3, 16, 3);
    const Bytes coded = encode(symbols);
    Symbols decoded(n);
    for (std::size_t length = 0; length < coded.size(); ++length) {
      EXPECT_THROW(rans_decode(ByteView(coded).first(length), decoded, "test"), Error) << length;
    }
    Bytes longer = coded;
    longer.push_back(std::byte{0});
    EXPECT_THROW(rans_decode(longer, decoded, "test"), Error);
    longer.push_back(std::byte{0});
    EXPECT_THROW(rans_decode(longer, decoded, "test"), Error);
  }
}

// A flipped bit either raises an error or gives other symbols; it never crashes. (Blocks carry checksums on top.)
TEST(Rans, FlippedBitsNeverCrash) {
  const Symbols symbols = sparse(6000, 0.2, 40, 11);
  const Bytes coded = encode(symbols);
  Rng rng(1);
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    Bytes damaged = coded;
    damaged[rng.below(damaged.size())] ^= static_cast<std::byte>(1U << rng.below(8));
    Symbols decoded(symbols.size());
    try {
      rans_decode(damaged, decoded, "test");
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 3900);  // the final states are a strong check of their own
}

}  // namespace
}  // namespace kinglet
