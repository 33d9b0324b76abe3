// Blocks of GGUF tensors against the numbers that the gguf package of Python makes of them, to the bit.
#include "kinglet/io/gguf_dequantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_files.h"
#include "tests/support/refusal.h"

#include "kinglet/base/hash.h"
#include "kinglet/base/parallel.h"

namespace kinglet {
namespace {

using testing_support::golden;
using testing_support::golden_json;
using testing_support::refusal;

TEST(GgufDequantize, EqualsTheReferenceToTheBit) {
  const GgufFile file(golden("files/every_type.gguf"));
  const auto expected = golden_json("gguf.json");
  ASSERT_EQ(file.content().tensors().size(), expected.size());
  for (const GgufTensor& tensor : file.content().tensors()) {
    const auto& facts = expected.at(tensor.name);
    EXPECT_EQ(gguf_type_name(tensor.type), facts[0].get<std::string>());
    EXPECT_EQ(tensor.shape, facts[1].get<std::vector<std::int64_t>>());
    const std::vector<float> numbers = dequantize(tensor);
    EXPECT_EQ(numbers.front(), facts[3].get<float>()) << tensor.name;
    EXPECT_EQ(numbers.back(), facts[4].get<float>()) << tensor.name;
    EXPECT_EQ(crc32(std::as_bytes(std::span(numbers))), facts[2].get<std::uint32_t>()) << tensor.name;
  }
}

TEST(GgufDequantize, GivesSingleRows) {
  const GgufFile file(golden("files/every_type.gguf"));
  for (const GgufTensor& tensor : file.content().tensors()) {
    const std::vector<float> whole = dequantize(tensor);
    std::vector<float> rows(2 * 512);
    dequantize(tensor, 1, rows);
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), whole.begin() + 512)) << tensor.name;
    dequantize(tensor, 3, {});
  }
}

// Long enough for several tasks; the result must not depend on how they are cut.
TEST(GgufDequantize, CutsLongTensorsAtBlocks) {
  const GgufFile file(golden("files/every_type.gguf"));
  const GgufTensor& some = file.content().tensor("q6_k");
  Bytes bytes;
  for (int copy = 0; copy < 100; ++copy) bytes.insert(bytes.end(), some.data.begin(), some.data.end());
  const GgufTensor longer{"longer", some.type, {300, 512}, bytes};
  const std::vector<float> one = dequantize(some), all = dequantize(longer);
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], one[i % one.size()]) << i;
}

TEST(GgufDequantize, RefusesOtherTypes) {
  const Bytes block(66);
  EXPECT_FALSE(can_dequantize(GgufType::kIQ2_XXS));
  EXPECT_FALSE(can_dequantize(GgufType::kI8));
  EXPECT_THAT(refusal([&] {
                dequantize({"t", GgufType::kIQ2_XXS, {256}, block});
              }),
              ::testing::HasSubstr("tensor 't' is stored as IQ2_XXS"));
}

}  // namespace
}  // namespace kinglet
