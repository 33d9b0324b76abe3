// Files that torch.load reads, written and read back.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/io/torch_file.h"
#include "kinglet/io/zip.h"

namespace kinglet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::refusal;
using testing_support::TemporaryFolder;

TEST(TorchWriter, EveryTypeThatPyTorchHasAStorageFor) {
  const TemporaryFolder folder;
  const Bytes data(16 * 6, std::byte{1});
  TorchFileWriter writer;
  std::vector<std::pair<PickleValue*, PickleValue*>> items;
  for (int i = 0; i <= static_cast<int>(DType::kC128); ++i) {
    const auto dtype = static_cast<DType>(i);
    const ByteView bytes = ByteView(data).first(6 * item_size(dtype));
    const bool typed = dtype != DType::kU16 && dtype != DType::kU32 && dtype != DType::kU64 &&
                       dtype != DType::kF8E4M3 && dtype != DType::kF8E5M2;
    if (!typed) {
      EXPECT_THAT(refusal([&] { writer.add_tensor(dtype, {2, 3}, bytes); }), HasSubstr("no typed storage"));
      continue;
    }
    items.emplace_back(writer.builder.string(std::string(dtype_name(dtype))), writer.add_tensor(dtype, {2, 3}, bytes));
  }
  PickleValue* root = writer.ordered_dict(items);
  std::move(writer).write(folder / "all.pt", root);

  const TorchFile file = TorchFile::open(folder / "all.pt");
  const auto named = file.named_tensors();
  ASSERT_EQ(named.size(), items.size());
  for (const auto& [path, tensor] : named) {
    EXPECT_EQ(dtype_name(tensor->dtype), path);
    EXPECT_THAT(tensor->shape, ElementsAre(2, 3));
    EXPECT_THAT(tensor->strides, ElementsAre(3, 1));
    EXPECT_EQ(file.contiguous_bytes(*tensor).size(), 6 * item_size(tensor->dtype));
  }
}

TEST(TorchWriter, LayoutOfTheArchive) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1, 2, 3};
  TorchFileWriter writer;
  PickleValue* first = writer.add_tensor(DType::kF32, {3}, std::as_bytes(std::span(values)));
  PickleValue* scalar = writer.add_tensor(DType::kF32, {}, std::as_bytes(std::span(values).first(1)));
  PickleValue* empty = writer.add_tensor(DType::kF32, {0, 4}, {});
  PickleValue* root = writer.builder.dict({{writer.builder.integer(0), first},
                                           {writer.builder.string("again"), first},
                                           {writer.builder.string("step"), scalar},
                                           {writer.builder.string("empty"), empty}});
  std::move(writer).write(folder / "optimizer.pt", root);

  const MappedFile map(folder / "optimizer.pt");
  std::vector<std::string> names;
  for (const ZipEntry& entry : parse_zip(map.bytes(), "optimizer.pt")) {
    names.push_back(entry.name);
    EXPECT_EQ(entry.data_offset % 64, 0U);
    check_zip_crc(map.bytes(), entry, "optimizer.pt");
  }
  EXPECT_THAT(names, ElementsAre("optimizer/data.pkl", "optimizer/byteorder", "optimizer/data/0", "optimizer/data/1",
                                 "optimizer/data/2", "optimizer/version"));
  const TorchFile file = TorchFile::open(folder / "optimizer.pt");
  std::vector<std::string> paths;
  for (const auto& named : file.named_tensors()) paths.push_back(named.path);
  EXPECT_THAT(paths, ElementsAre("0", "again", "step", "empty"));
  EXPECT_EQ(file.storages().size(), 3U);
  EXPECT_TRUE(file.tensor(file.root()->find("step"))->shape.empty());
}

TEST(TorchWriter, RefusesDataOfAnotherSize) {
  TorchFileWriter writer;
  EXPECT_THAT(refusal([&] { writer.add_tensor(DType::kF32, {2}, {}); }), HasSubstr("differ in size"));
}

}  // namespace
}  // namespace kinglet
