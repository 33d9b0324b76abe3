// Writing zip archives as torch.save lays them out.
#include <fstream>
#include <iterator>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_files.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/rng.h"
#include "kinglet/io/torch_file.h"
#include "kinglet/io/zip.h"

namespace kinglet {
namespace {

using ::testing::HasSubstr;
using testing_support::golden;
using testing_support::refusal;
using testing_support::TemporaryFolder;

void expect_sound(const MappedFile& file, const std::vector<ZipEntry>& entries) {
  for (const ZipEntry& entry : entries) {
    EXPECT_EQ(entry.data_offset % 64, 0U) << entry.name;
    check_zip_crc(file.bytes(), entry, "x");
  }
}

TEST(ZipWrite, RoundTripOfRandomRecords) {
  const TemporaryFolder folder;
  Rng rng(4);
  for (int round = 0; round < 30; ++round) {
    std::vector<Bytes> data(rng.below(6));
    std::vector<ZipRecord> records;
    for (std::size_t i = 0; i < data.size(); ++i) {
      data[i].resize(rng.below(300));
      for (std::byte& byte : data[i]) byte = static_cast<std::byte>(rng.below(256));
      records.push_back({"archive/" + std::string(rng.below(70), 'n') + std::to_string(i), data[i]});
    }
    write_zip(folder / "x.pt", records);
    const MappedFile file(folder / "x.pt");
    const auto entries = parse_zip(file.bytes(), "x.pt");
    ASSERT_EQ(entries.size(), records.size());
    expect_sound(file, entries);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      EXPECT_EQ(entries[i].name, records[i].name);
      EXPECT_EQ(as_text(file.bytes().subspan(entries[i].data_offset, entries[i].size)), as_text(records[i].data));
    }
  }
}

// Golden check 12 of the sheet: an archive of PyTorch rebuilt from its records.
class ZipOfPyTorch : public ::testing::TestWithParam<const char*> {};

TEST_P(ZipOfPyTorch, RecordsSurviveByteForByte) {
  const TemporaryFolder folder;
  const MappedFile original(golden(GetParam()));
  const auto before = parse_zip(original.bytes(), GetParam());
  expect_sound(original, before);
  std::vector<ZipRecord> records;
  for (const ZipEntry& entry : before) {
    records.push_back({entry.name, original.bytes().subspan(entry.data_offset, entry.size)});
  }
  write_zip(folder / "again.pt", records);

  const MappedFile again(folder / "again.pt");
  const auto after = parse_zip(again.bytes(), "again.pt");
  ASSERT_EQ(after.size(), before.size());
  expect_sound(again, after);
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].name, before[i].name);
    EXPECT_EQ(after[i].crc, before[i].crc);
    EXPECT_EQ(as_text(again.bytes().subspan(after[i].data_offset, after[i].size)), as_text(records[i].data));
  }
  const TorchFile first = TorchFile::open(golden(GetParam()), false),
                  second = TorchFile::open(folder / "again.pt", false);
  ASSERT_EQ(first.storages().size(), second.storages().size());
}

INSTANTIATE_TEST_SUITE_P(Golden, ZipOfPyTorch,
                         ::testing::Values("files/views.pt", "files/dtypes.pt", "checkpoints/loop-3.pt",
                                           "checkpoints/trainer/checkpoint-2/optimizer.pt"));

TEST(ZipWrite, RefusesBadNamesAndLeavesNothing) {
  const TemporaryFolder folder;
  EXPECT_THAT(refusal([&] { write_zip(folder / "x.pt", {{"", {}}}); }), HasSubstr("record name"));
  EXPECT_THAT(refusal([&] { write_zip(folder / "x.pt", {{std::string(0x8000, 'x'), {}}}); }), HasSubstr("record name"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(ZipWrite, ManyRecords) {
  const TemporaryFolder folder;
  std::vector<ZipRecord> records;
  for (int i = 0; i < 70'000; ++i) records.push_back({"a/" + std::to_string(i), {}});  // more than fit 16 bits
  write_zip(folder / "x.pt", records);
  const MappedFile file(folder / "x.pt");
  EXPECT_EQ(parse_zip(file.bytes(), "x.pt").size(), records.size());
}

}  // namespace
}  // namespace kinglet
