// Checkpoints that PyTorch, transformers and torch.distributed wrote: weights and moments are those of the live objects
// (tests/golden/io/make_checkpoint_golden.py).
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/golden_files.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/io/checkpoint.h"

namespace kinglet {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;
using testing_support::golden;
using testing_support::golden_json;
using testing_support::put;
using testing_support::refusal;
using testing_support::TemporaryFolder;

Checkpoint open_golden(const std::string& name) {
  const TemporaryFolder lists;
  CheckpointOptions options;
  if (name == "loop-3.pt") {
    options.parameter_order = lists / "names.txt";
    put(options.parameter_order, testing_support::kNamesOfLoop);
  }
  return Checkpoint::open(golden("checkpoints/" + name), options);
}

class GoldenCheckpoints : public ::testing::TestWithParam<std::string> {
 protected:
  Checkpoint checkpoint_ = open_golden(GetParam());
};

TEST_P(GoldenCheckpoints, WeightsAndMomentsBelongTogether) {
  const ordered_json expected = golden_json("checkpoints/expected.json").at(GetParam());
  std::set<std::string> names;
  for (const Parameter& parameter : checkpoint_.parameters()) {
    ASSERT_TRUE(expected.contains(parameter.name)) << parameter.name;
    EXPECT_TRUE(names.insert(parameter.name).second) << parameter.name;
    ordered_json found = {crc32(checkpoint_.bytes(parameter.weight))};
    for (const auto& moment : {parameter.first_moment, parameter.second_moment, parameter.max_second_moment}) {
      if (moment) found.push_back(crc32(checkpoint_.bytes(*moment)));
    }
    EXPECT_EQ(found, expected[parameter.name]) << parameter.name;
    std::int64_t count = 1;
    for (const std::int64_t size : parameter.shape) count *= size;
    EXPECT_EQ(checkpoint_.bytes(parameter.weight).size(), static_cast<std::size_t>(count) * 4);
  }
  EXPECT_EQ(names.size(), expected.size());
}

TEST_P(GoldenCheckpoints, EveryRegionBelongsToOneParameterAtMost) {
  std::set<RegionRef> taken;
  for (const Parameter& parameter : checkpoint_.parameters()) {
    EXPECT_TRUE(taken.insert(parameter.weight).second);
    for (const auto& moment : {parameter.first_moment, parameter.second_moment, parameter.max_second_moment}) {
      EXPECT_TRUE(!moment || taken.insert(*moment).second) << parameter.name;
    }
  }
}

// The bytes outside the regions plus the regions are the file; each checksum that is listed fits its region.
TEST_P(GoldenCheckpoints, RegionsAndChecksums) {
  std::size_t checksums = 0;
  for (const FileLayout& file : checkpoint_.files()) {
    const ByteView bytes = checkpoint_.bytes(file);
    EXPECT_EQ(bytes.size(), file.size);
    std::uint64_t end = 0;
    for (const Region& region : file.regions) {
      EXPECT_GE(region.offset, end) << file.name;
      EXPECT_EQ(region.bytes % item_size(region.dtype), 0U);
      end = region.offset + region.bytes;
      EXPECT_LE(end, file.size);
      EXPECT_FALSE(region.label.empty());
    }
    for (const RegionChecksum& checksum : file.checksums) {
      const Region& region = file.regions.at(checksum.region);
      std::uint32_t stored = 0;
      for (std::size_t i = 4; i-- > 0;) {
        stored = stored << 8 | std::to_integer<std::uint32_t>(bytes[checksum.offset + i]);
      }
      EXPECT_EQ(stored, crc32(bytes.subspan(region.offset, region.bytes))) << file.name << " " << region.label;
      ++checksums;
    }
  }
  EXPECT_GT(checksums, 0U);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenCheckpoints,
                         ::testing::Values("trainer/checkpoint-2", "loop-3.pt", "named", "dcp", "zero2", "zero3"),
                         [](const ::testing::TestParamInfo<std::string>& checkpoint) {
                           return checkpoint.param.substr(0, checkpoint.param.find_first_of("-/"));
                         });

struct Facts {
  const char* name;
  OptimizerKind optimizer;
  const char* rule;
  std::optional<std::int64_t> step;
  bool folder;
};

TEST(GoldenCheckpoint, FactsForPeople) {
  const std::vector<Facts> all = {
      {"trainer/checkpoint-2", OptimizerKind::kAdam, "module order of gpt_neox", 2, true},
      {"loop-3.pt", OptimizerKind::kAdamAmsgrad, "the user's list of names", 3, false},
      {"named", OptimizerKind::kAdam, "names kept by the optimizer", std::nullopt, true},
      {"dcp", OptimizerKind::kAdam, "names of the distributed checkpoint", std::nullopt, true},
      {"zero2", OptimizerKind::kAdam, "DeepSpeed's flat vectors", 7, true},
      {"zero3", OptimizerKind::kAdam, "DeepSpeed's flat vectors", 7, true}};
  for (const Facts& facts : all) {
    const Checkpoint checkpoint = open_golden(facts.name);
    EXPECT_EQ(checkpoint.optimizer(), facts.optimizer) << facts.name;
    EXPECT_EQ(checkpoint.pairing_rule(), facts.rule) << facts.name;
    EXPECT_EQ(checkpoint.step(), facts.step) << facts.name;
    EXPECT_EQ(checkpoint.is_folder(), facts.folder) << facts.name;
  }
}

TEST(GoldenCheckpoint, TiedFrozenAndBufferTensors) {
  const Checkpoint checkpoint = open_golden("loop-3.pt");
  std::set<std::string> names;
  for (const Parameter& parameter : checkpoint.parameters()) {
    names.insert(parameter.name);
    EXPECT_EQ(parameter.name.starts_with("frozen"), !parameter.first_moment) << parameter.name;
    EXPECT_EQ(parameter.first_moment.has_value(), parameter.max_second_moment.has_value());
  }
  EXPECT_TRUE(names.contains("embed.weight"));
  EXPECT_FALSE(names.contains("head.weight"));  // tied to embed.weight: one storage
  EXPECT_FALSE(names.contains("norm.running_mean"));
}

TEST(GoldenCheckpoint, OpaqueFilesAreKeptVerbatim) {
  const Checkpoint checkpoint = Checkpoint::open(golden("checkpoints/trainer/checkpoint-2"));
  for (const FileLayout& file : checkpoint.files()) {
    const bool arrays = file.name == "model.safetensors" || file.name == "optimizer.pt";
    EXPECT_EQ(!file.regions.empty(), arrays) << file.name;
  }
}

TEST(GoldenCheckpoint, AFrozenLayerOfACommonShapeIsNotGuessed) {
  EXPECT_THAT(refusal([] { Checkpoint::open(golden("checkpoints/loop-3.pt")); }), HasSubstr("more than one way"));
}

TEST(GoldenCheckpoint, OtherTrainingsDoNotPairByAccident) {
  // The optimizer of one run beside the weights of another: shapes give it away.
  CheckpointOptions options;
  options.parameter_order = golden("parameter_orders.json");
  EXPECT_THROW(Checkpoint::open(golden("checkpoints/trainer/checkpoint-2"), options), Error);
  EXPECT_THROW(Checkpoint::open(golden("checkpoints/none")), Error);
}

}  // namespace
}  // namespace kinglet
