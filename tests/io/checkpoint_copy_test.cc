#include "kinglet/io/checkpoint_copy.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/folders.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/training_run.h"

#include "kinglet/base/error.h"
#include "kinglet/io/zip.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using namespace testing_support;

const fs::path kGolden = fs::path(KINGLET_SOURCE_DIR) / "tests" / "golden" / "io" / "checkpoints";

std::optional<Bytes> nothing(RegionRef) { return std::nullopt; }

TEST(CheckpointCopy, WithoutChangesIsByteForByte) {
  const TemporaryFolder folder;
  for (const char* name : {"trainer/checkpoint-2", "named", "dcp", "zero3"}) {
    const fs::path out = folder / "copy";
    write_checkpoint_copy(Checkpoint::open(kGolden / name), out, nothing);
    EXPECT_THAT(different_files(kGolden / name, out), IsEmpty()) << name;
    fs::remove_all(out);
  }
  write_checkpoint_copy(Checkpoint::open(kGolden / "named" / "weights.pth"), folder / "copy.pth", nothing);
  EXPECT_EQ(slurp(folder / "copy.pth"), slurp(kGolden / "named" / "weights.pth"));
  EXPECT_THAT(folder_content(folder.path()), testing::SizeIs(1));  // no temporary files stay
}

TEST(CheckpointCopy, ReplacesRegionsAndTheirChecksums) {
  const TemporaryFolder folder;
  const fs::path original = kGolden / "trainer" / "checkpoint-2";
  const Checkpoint checkpoint = Checkpoint::open(original);
  const Parameter& parameter = checkpoint.parameters().at(1);
  write_checkpoint_copy(checkpoint, folder / "copy", [&](RegionRef ref) -> std::optional<Bytes> {
    if (ref != parameter.weight && ref != *parameter.second_moment) return std::nullopt;
    return Bytes(checkpoint.bytes(ref).size(), std::byte{0x3f});
  });
  EXPECT_THAT(different_files(original, folder / "copy"), ElementsAre("model.safetensors", "optimizer.pt"));
  const Checkpoint copy = Checkpoint::open(folder / "copy");
  EXPECT_EQ(copy.bytes(parameter.weight).front(), std::byte{0x3f});
  EXPECT_EQ(copy.bytes(*parameter.second_moment).back(), std::byte{0x3f});
  const ByteView before = checkpoint.bytes(*parameter.first_moment), after = copy.bytes(*parameter.first_moment);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin(), after.end()));
  const MappedFile optimizer(folder / "copy" / "optimizer.pt");
  for (const ZipEntry& entry : parse_zip(optimizer.bytes(), "optimizer.pt")) {
    check_zip_crc(optimizer.bytes(), entry, "optimizer.pt");
  }
}

TEST(CheckpointCopy, NeverOverwrites) {
  const TemporaryFolder folder;
  const Checkpoint checkpoint = Checkpoint::open(kGolden / "named");
  fs::create_directory(folder / "there");
  EXPECT_THROW(write_checkpoint_copy(checkpoint, folder / "there", nothing), Error);
  EXPECT_THROW(write_checkpoint_copy(checkpoint, folder / "there/", nothing), Error);
  EXPECT_TRUE(fs::is_empty(folder / "there"));
}

TEST(CheckpointCopy, LeavesNothingBehindAnError) {
  const TemporaryFolder folder;
  const Checkpoint checkpoint = Checkpoint::open(kGolden / "named");
  const auto fail = [](RegionRef) -> std::optional<Bytes> { throw failed("test", "stop"); };
  EXPECT_THROW(write_checkpoint_copy(checkpoint, folder / "copy", fail), Error);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace kinglet
