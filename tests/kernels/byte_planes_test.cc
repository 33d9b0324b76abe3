// Byte planes, sign rotation and integer prediction: exact inverses for any bits, at every instruction set.
#include "kinglet/kernels/byte_planes.h"

#include <bit>
#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kernels/simd_levels.h"

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using testing_support::at_every_simd_level;

std::vector<std::uint8_t> random_bytes(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::uint8_t> bytes(n);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(rng.below(256));
  return bytes;
}

TEST(BytePlanes, PlaneHoldsOneByteOfEveryElement) {
  at_every_simd_level([] {
    const std::vector<std::uint8_t> elements{1, 2, 3, 4, 5, 6, 7, 8};
    std::vector<std::uint8_t> planes(8);
    split_byte_planes(elements.data(), 2, 4, planes.data());
    EXPECT_THAT(planes, testing::ElementsAre(1, 5, 2, 6, 3, 7, 4, 8));
  });
}

TEST(BytePlanes, EveryStepHasAnExactInverse) {
  at_every_simd_level([] {
    for (const std::size_t item_size : {1U, 2U, 4U, 8U}) {
      for (const std::size_t n : {0U, 1U, 17U, 1000U}) {
        const auto x = random_bytes(n * item_size, n + item_size), y = random_bytes(n * item_size, 99);
        std::vector<std::uint8_t> a(x.size()), b(x.size());
        split_byte_planes(x.data(), n, item_size, a.data());
        merge_byte_planes(a.data(), n, item_size, b.data());
        EXPECT_EQ(b, x);
        rotate_sign(x.data(), n, item_size, a.data());
        unrotate_sign(a.data(), n, item_size, b.data());
        EXPECT_EQ(b, x);
        predict_difference(x.data(), y.data(), n, item_size, a.data());
        undo_predict(a.data(), y.data(), n, item_size, b.data());
        EXPECT_EQ(b, x);
      }
    }
  });
}

TEST(BytePlanes, NeighbouringFloatsDifferByOneEvenAcrossZero) {
  at_every_simd_level([] {
    const float values[] = {1.0F, std::bit_cast<float>(0x3f800001U), -0.0F, 0.0F};
    const float predictions[] = {std::bit_cast<float>(0x3f800001U), 1.0F, 0.0F, 0.0F};
    std::uint32_t out[4];
    predict_difference(reinterpret_cast<const std::uint8_t*>(values),
                       reinterpret_cast<const std::uint8_t*>(predictions), 4, 4, reinterpret_cast<std::uint8_t*>(out));
    EXPECT_THAT(out, testing::ElementsAre(1, 2, 1, 0));  // zigzag: -1, +1, -1, 0
  });
}

}  // namespace
}  // namespace kinglet
