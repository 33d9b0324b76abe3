// Folders and files as a whole: odd names, links, missing parts, distributed checkpoints.
#include "kinglet/io/checkpoint_layout.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/golden_files.h"
#include "tests/support/pickle_code.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/zip_bytes.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::floats;
using testing_support::golden;
using testing_support::le;
using testing_support::put;
using testing_support::refusal;
using testing_support::TemporaryFolder;
using testing_support::torch_zip;
namespace code = testing_support::code;

const std::string kTorch = torch_zip(code::stream(code::dict({{"w", code::tensor({})}})), {floats({1, 2, 3, 4})});
const std::string kHeader = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
const std::string kSafetensors = le(kHeader.size(), 8) + kHeader + std::string(8, 'x');

class Layout : public ::testing::Test {
 protected:
  CheckpointFiles read() const { return read_checkpoint_files(folder_.path()); }
  std::string refused() const {
    return refusal([&] { read(); });
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const CheckpointFile& file : read().files) result.push_back(file.layout.name);
    return result;
  }

  TemporaryFolder folder_;
};

TEST_F(Layout, FilesByNameWithTheirRegions) {
  put(folder_ / "z/model.safetensors", kSafetensors);
  put(folder_ / "optimizer.pt", kTorch);
  put(folder_ / "config.json", "{}");
  put(folder_ / "empty", "");
  EXPECT_THAT(names(), ElementsAre("config.json", "empty", "optimizer.pt", "z/model.safetensors"));
  const CheckpointFiles files = read();
  EXPECT_TRUE(files.folder);
  EXPECT_TRUE(files.files[0].layout.regions.empty());
  ASSERT_EQ(files.files[2].layout.regions.size(), 1U);
  EXPECT_EQ(files.files[2].layout.regions[0].label, "w");
  EXPECT_EQ(files.files[2].layout.checksums.size(), 2U);
  EXPECT_EQ(files.files[3].layout.regions[0].bytes, 8U);
}

TEST_F(Layout, NothingThere) {
  EXPECT_THAT(refused(), HasSubstr("the folder has no files"));
  fs::create_directory(folder_ / "sub");
  EXPECT_THAT(refused(), HasSubstr("the folder has no files"));
  EXPECT_THAT(refusal([&] { read_checkpoint_files(folder_ / "none"); }), HasSubstr("no such file or folder"));
  EXPECT_THAT(refusal([] { read_checkpoint_files("/dev/null"); }), HasSubstr("neither a file nor a folder"));
}

TEST_F(Layout, OneFile) {
  put(folder_ / "x.pt", kTorch);
  fs::create_directory(folder_ / "sub");
  const CheckpointFiles files = read_checkpoint_files(folder_ / "sub/../x.pt");
  EXPECT_FALSE(files.folder);
  EXPECT_EQ(files.files.at(0).layout.name, "x.pt");
}

TEST_F(Layout, Links) {
  const TemporaryFolder outside;
  put(outside / "model.safetensors", kSafetensors);
  put(folder_ / "config.json", "{}");
  fs::create_symlink(outside / "model.safetensors", folder_ / "model.safetensors");
  fs::create_symlink(outside / "gone", folder_ / "broken");
  fs::create_directory_symlink(folder_.path(), folder_ / "loop");
  fs::create_symlink(folder_ / "itself", folder_ / "itself");
  EXPECT_THAT(names(), ElementsAre("config.json", "model.safetensors"));
  const CheckpointFiles files = read();
  EXPECT_EQ(files.files[1].layout.regions.size(), 1U);
  EXPECT_THAT(files.notes, ElementsAre(HasSubstr("broken: skipped, a link"), HasSubstr("itself: skipped"),
                                       HasSubstr("loop: skipped, a link"), HasSubstr("model.safetensors: a link")));
}

TEST_F(Layout, OddNames) {
  put(folder_ / "name with blanks and é", "x");
  EXPECT_EQ(names().size(), 1U);
  put(folder_ / "line\nbreak", "x");
  EXPECT_THAT(refused(), HasSubstr("'line\\x0abreak' has control characters"));
  fs::remove(folder_ / "line\nbreak");
  put(folder_ / "\xff", "x");
  EXPECT_THAT(refused(), HasSubstr("not UTF-8"));
  EXPECT_THAT(refusal([&] { read_checkpoint_files(folder_ / "\xff"); }), HasSubstr("not UTF-8"));
}

TEST_F(Layout, OpaqueFilesAreNotEvenParsed) {
  for (const char* name : {"training_args.bin", "rng_state.pth", "sub/rng_state_3.pth", "random_states_0.pkl"}) {
    put(folder_ / name, "PK\x03\x04 damaged");
  }
  EXPECT_EQ(names().size(), 4U);
  put(folder_ / "optimizer.bin", "PK\x03\x04 damaged");
  EXPECT_THAT(refused(), HasSubstr("optimizer.bin"));
}

TEST_F(Layout, WhatCountsAsATorchFile) {
  put(folder_ / "archive.zip", testing_support::make_zip({{.name = "photos/a.jpg", .data = "x"}}));
  put(folder_ / "short.zip", "PK\x03\x04");
  put(folder_ / "weights.model", kTorch);  // by its first entry
  put(folder_ / "text.pt", "not torch");
  fs::copy(golden("files/script.pt"), folder_ / "script.pt");
  fs::copy(golden("files/legacy.pt"), folder_ / "legacy.pt");
  const CheckpointFiles files = read();
  std::vector<std::string> torch;
  for (const CheckpointFile& file : files.files) {
    if (file.torch) torch.push_back(file.layout.name);
  }
  EXPECT_THAT(torch, ElementsAre("legacy.pt", "weights.model"));
  EXPECT_THAT(files.notes, ElementsAre(HasSubstr("script.pt: a TorchScript archive")));
}

TEST_F(Layout, DamagedFilesNameThemselves) {
  put(folder_ / "model.safetensors", kSafetensors.substr(0, kSafetensors.size() - 1));
  EXPECT_THAT(refused(), HasSubstr("model.safetensors: tensor 'w'"));
  put(folder_ / "model.safetensors", kSafetensors);
  put(folder_ / "optimizer.pt", kTorch.substr(0, kTorch.size() / 2));
  EXPECT_THAT(refused(), HasSubstr("optimizer.pt: the zip archive has no end record"));
}

TEST_F(Layout, LabelsOfBlobsInsideOtherFiles) {
  FileLayout layout;
  const TorchFile file = TorchFile::parse(as_bytes(kTorch), "x.pt");
  append_torch_regions(file, 1000, "prefix", layout);
  ASSERT_EQ(layout.regions.size(), 1U);
  EXPECT_EQ(layout.regions[0].label, "prefix.w");
  EXPECT_EQ(layout.regions[0].offset, 1000 + file.storages()[0].offset);
  for (const RegionChecksum& checksum : layout.checksums) EXPECT_GE(checksum.offset, 1000U);
}

TEST_F(Layout, ComplexAndEmptyStoragesHaveNoRegion) {
  const std::string pickle = code::stream(code::dict(
      {{"c", code::tensor({.storage_class = "ComplexFloatStorage", .storage_numel = 2, .sizes = {2}})},
       {"e", code::tensor({.key = "1", .storage_numel = 0, .sizes = {0}})},
       {"i", code::tensor({.key = "2", .storage_class = "LongStorage", .storage_numel = 2, .sizes = {2}})}}));
  put(folder_ / "x.pt", torch_zip(pickle, {std::string(16, 'c'), "", std::string(16, 'i')}));
  const CheckpointFiles files = read();
  ASSERT_EQ(files.files[0].layout.regions.size(), 1U);
  EXPECT_EQ(files.files[0].layout.regions[0].dtype, DType::kI64);
  EXPECT_FALSE(files.files[0].storages.region_of_storage[0]);
}

TEST_F(Layout, Shards) {
  const std::string name = "model-00001-of-00001.safetensors";
  const fs::path index = folder_ / "model.safetensors.index.json";
  put(index, R"({"weight_map":{"w":")" + name + "\"}}");
  EXPECT_THAT(refused(), HasSubstr("shard 'model-00001-of-00001.safetensors' is missing"));
  put(folder_ / name, kSafetensors);
  EXPECT_EQ(names().size(), 2U);
  put(index, R"({"weight_map":{"v":")" + name + "\"}}");
  EXPECT_THAT(refused(), HasSubstr("tensor 'v' is not in shard"));
  put(index, R"({"weight_map":{"w":"../)" + name + "\"}}");
  EXPECT_THAT(refused(), HasSubstr("unsafe file"));
}

class Distributed : public Layout {
 protected:
  Distributed() { fs::copy(golden("checkpoints/dcp"), folder_.path(), fs::copy_options::recursive); }
};

TEST_F(Distributed, CutAndMissingFiles) {
  const fs::path part = folder_ / "__0_1.distcp";
  const std::string whole(as_text(read_file(part)));
  put(part, whole.substr(0, whole.size() - 1));
  EXPECT_THAT(refused(), HasSubstr("is cut off"));
  put(part, "");
  EXPECT_THAT(refused(), HasSubstr("is cut off"));
  fs::remove(part);
  EXPECT_THAT(refused(), HasSubstr("file '__0_1.distcp' is missing"));
}

TEST_F(Distributed, DamagedBlobs) {
  const fs::path part = folder_ / "__0_1.distcp";
  std::string bytes(as_text(read_file(part)));
  bytes[0] = 'X';
  put(part, bytes);
  EXPECT_THAT(refused(), HasSubstr("__0_1.distcp (model.0.weight)"));
}

TEST_F(Distributed, NamesThatLeaveTheFolder) {
  for (const std::string name : {"../out.distcp", "/etc/x.distcp"}) {
    std::string metadata(as_text(read_file(folder_ / ".metadata")));
    const std::string old = "__0_1.distcp";
    for (std::size_t at = 0; (at = metadata.find("\x8c" + le(old.size(), 1) + old, at)) != std::string::npos;) {
      metadata.replace(at, old.size() + 2, "\x8c" + le(name.size(), 1) + name);
    }
    // The frame's length is no longer that of the file: too short is a harmless hint.
    const std::size_t frame = metadata.find('\x95');
    metadata.replace(frame + 1, 8, le(1, 8));
    put(folder_ / ".metadata", metadata);
    const std::string message = refused();
    EXPECT_THAT(message, ::testing::AnyOf(HasSubstr("../out"), HasSubstr("/etc/x"))) << message;
    fs::copy(golden("checkpoints/dcp/.metadata"), folder_ / ".metadata", fs::copy_options::overwrite_existing);
  }
}

TEST_F(Distributed, WithoutItsMetadataTheFilesAreKeptVerbatim) {
  fs::remove(folder_ / ".metadata");
  for (const CheckpointFile& file : read().files) EXPECT_TRUE(file.layout.regions.empty());
}

TEST_F(Layout, OtherFilesCalledMetadata) {
  put(folder_ / ".metadata", "anything");
  EXPECT_EQ(names().size(), 1U);
}

}  // namespace
}  // namespace kinglet
