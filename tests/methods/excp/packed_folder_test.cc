// A model's folder as two containers in memory.
#include "kinglet/methods/excp/packed_folder.h"

#include <array>
#include <cmath>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"
#include "tests/support/training_run.h"

#include "kinglet/base/error.h"
#include "kinglet/io/checkpoint.h"

namespace kinglet::excp {
namespace {

using testing::HasSubstr;
using namespace testing_support;

class PackedFolderTest : public testing::Test {
 protected:
  PackedFolderTest() {
    TrainingRun run(5);
    run.add_tensor("layers.0.weight", {160, 128});
    run.add_tensor("layers.0.bias", {160});
    run.advance();
    run.write(folder / "model");
    std::filesystem::remove(folder / "model" / "optimizer.pt");
    Options options;
    options.lambda = 0;
    options.weight_bits = 8;
    options.exact_1d = true;
    bytes = pack_folder(folder / "model", folder / "packed", options);
    key = read_file(folder / "packed" / kPackedKey);
    weights = read_file(folder / "packed" / kPackedWeights);
  }

  void unpack(const std::string& out) {
    const std::array<ByteView, 2> parts = {ByteView(key), ByteView(weights)};
    unpack_folder(parts, "the model", folder / out);
  }

  std::vector<float> values(const std::string& name, const std::string& parameter) {
    const Checkpoint checkpoint = Checkpoint::open(folder / name);
    for (const Parameter& one : checkpoint.parameters()) {
      if (one.name != parameter) continue;
      const ByteView view = checkpoint.bytes(one.weight);
      std::vector<float> result(view.size() / sizeof(float));
      std::memcpy(result.data(), view.data(), view.size());
      return result;
    }
    return {};
  }

  TemporaryFolder folder;
  std::uint64_t bytes = 0;
  Bytes key, weights;
};

TEST_F(PackedFolderTest, ComesBackAsAFolder) {
  unpack("out");
  EXPECT_EQ(bytes, key.size() + weights.size());
  EXPECT_LT(bytes, 160 * 128 * 2U);  // about a byte a weight
  EXPECT_EQ(read_file(folder / "out" / "config.json"), read_file(folder / "model" / "config.json"));
  EXPECT_EQ(values("out", "layers.0.bias"), values("model", "layers.0.bias"));
  const std::vector<float> before = values("model", "layers.0.weight"), after = values("out", "layers.0.weight");
  ASSERT_EQ(before.size(), 160U * 128U);
  ASSERT_EQ(after.size(), before.size());
  double error = 0, square = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    error += std::pow(before[i] - after[i], 2);
    square += std::pow(before[i], 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(std::sqrt(error / square), 0.02);
}

TEST_F(PackedFolderTest, DamageIsNamed) {
  for (Bytes* part : {&key, &weights}) {
    const Bytes good = *part;
    for (std::size_t at = 3; at < good.size(); at += good.size() / 7) {
      (*part)[at] ^= std::byte{0x40};
      try {
        unpack("damaged");
        FAIL() << "byte " << at << " was damaged";
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("the model, part")) << at;
      }
      EXPECT_FALSE(std::filesystem::exists(folder / "damaged"));
      *part = good;
    }
  }
  weights.resize(weights.size() / 2);
  EXPECT_THROW(unpack("short"), Error);
  EXPECT_THROW(unpack_folder({}, "the model", folder / "none"), Error);
}

TEST_F(PackedFolderTest, NothingIsOverwritten) {
  EXPECT_THROW(unpack("model"), Error);
  EXPECT_THROW(pack_folder(folder / "model", folder / "packed", {}), Error);
}

}  // namespace
}  // namespace kinglet::excp
