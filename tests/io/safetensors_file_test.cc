// Files and folders of safetensors: writing, reading back, shards.
#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/rng.h"
#include "kinglet/io/safetensors.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::refusal;
using testing_support::TemporaryFolder;

struct OwnedTensor {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
  Bytes data;
  TensorView view() const { return {name, dtype, shape, data}; }
};

OwnedTensor random_tensor(std::string name, DType dtype, std::vector<std::int64_t> shape, Rng& rng) {
  OwnedTensor tensor{std::move(name), dtype, std::move(shape), {}};
  tensor.data.resize(static_cast<std::size_t>(tensor.view().numel()) * item_size(dtype));
  for (std::byte& byte : tensor.data) byte = static_cast<std::byte>(rng.below(256));
  return tensor;
}

void write(const fs::path& path, const std::vector<OwnedTensor>& tensors,
           const std::map<std::string, std::string>& metadata = {{"format", "pt"}}) {
  std::vector<TensorView> views;
  for (const OwnedTensor& tensor : tensors) views.push_back(tensor.view());
  write_safetensors(path, views, metadata);
}

using testing_support::put;

TEST(SafetensorsFile, RoundTripOfRandomModels) {
  const TemporaryFolder folder;
  Rng rng(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<OwnedTensor> tensors;
    for (std::uint64_t i = 0, count = rng.below(8); i < count; ++i) {
      std::vector<std::int64_t> shape(rng.below(4));
      for (std::int64_t& size : shape) size = static_cast<std::int64_t>(rng.below(5));
      const auto dtype = static_cast<DType>(rng.below(17));
      tensors.push_back(random_tensor("layer." + std::to_string(i) + ".é\"\\", dtype, shape, rng));
    }
    std::map<std::string, std::string> metadata;
    if (rng.below(2) == 1) metadata = {{"format", "pt"}, {"quote\"", "line\n"}};
    const fs::path path = folder / "model.safetensors";
    write(path, tensors, metadata);

    const SafetensorsFile file(path);
    EXPECT_EQ(file.header().metadata, metadata);
    EXPECT_EQ(file.header().header_bytes % 64, 0U);
    std::vector<TensorView> read = file.tensors();
    ASSERT_EQ(read.size(), tensors.size());
    for (const OwnedTensor& tensor : tensors) {
      const auto found = std::find_if(read.begin(), read.end(), [&](const auto& v) { return v.name == tensor.name; });
      ASSERT_NE(found, read.end());
      EXPECT_EQ(found->dtype, tensor.dtype);
      EXPECT_EQ(found->shape, tensor.shape);
      EXPECT_TRUE(std::equal(found->data.begin(), found->data.end(), tensor.data.begin(), tensor.data.end()));
    }
  }
}

TEST(SafetensorsFile, KeepsTheOrderOfTensors) {
  const TemporaryFolder folder;
  Rng rng(1);
  write(folder / "m.safetensors",
        {random_tensor("z", DType::kF32, {2}, rng), random_tensor("a", DType::kI8, {3}, rng)});
  const SafetensorsFile file(folder / "m.safetensors");
  EXPECT_EQ(file.tensors()[0].name, "z");
  EXPECT_EQ(file.tensors()[1].name, "a");
}

TEST(SafetensorsFile, RefusesWhatItCannotWriteAndLeavesNothing) {
  const TemporaryFolder folder;
  const fs::path path = folder / "m.safetensors";
  Rng rng(1);
  const OwnedTensor good = random_tensor("w", DType::kF32, {2}, rng);
  OwnedTensor bad = good;
  EXPECT_THAT(refusal([&] { write(path, {good, good}); }), HasSubstr("two tensors are called 'w'"));
  bad.name = "__metadata__";
  EXPECT_THAT(refusal([&] { write(path, {bad}, {}); }), HasSubstr("__metadata__"));
  bad = good;
  bad.data.pop_back();
  EXPECT_THAT(refusal([&] { write(path, {bad}); }), HasSubstr("differ in size"));
  bad = good;
  bad.name = "\xff";
  EXPECT_THAT(refusal([&] { write(path, {bad}); }), HasSubstr("UTF-8"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SafetensorsFile, MissingFile) { EXPECT_THROW(SafetensorsFile("/nonexistent/model.safetensors"), Error); }

class Shards : public ::testing::Test {
 protected:
  Shards() {
    Rng rng(2);
    write(folder_ / "model-00001-of-00002.safetensors", {random_tensor("a", DType::kF32, {2}, rng)});
    write(folder_ / "model-00002-of-00002.safetensors",
          {random_tensor("b", DType::kF32, {3}, rng), random_tensor("c", DType::kBF16, {1}, rng)});
    index(R"({"metadata":{"total_size":22},"weight_map":{"a":"model-00001-of-00002.safetensors",)"
          R"("b":"model-00002-of-00002.safetensors","c":"model-00002-of-00002.safetensors"}})");
  }
  void index(std::string_view text) { put(index_path(), text); }
  fs::path index_path() const { return folder_ / "model.safetensors.index.json"; }
  std::string refused_index(std::string_view text) {
    index(text);
    return refusal([&] { read_shard_index(index_path()); });
  }

  TemporaryFolder folder_;
};

TEST_F(Shards, AreFoundThroughTheFolderAndThroughTheIndex) {
  for (const fs::path& model : {folder_.path(), index_path()}) {
    const std::vector<fs::path> files = find_safetensors_files(model);
    ASSERT_EQ(files.size(), 2U);
    EXPECT_EQ(SafetensorsFile(files[0]).tensors()[0].name, "a");
    EXPECT_EQ(SafetensorsFile(files[1]).tensors()[1].name, "c");
  }
  EXPECT_THAT(find_safetensors_files(folder_ / "model-00001-of-00002.safetensors"),
              ElementsAre(folder_ / "model-00001-of-00002.safetensors"));
  const ShardIndex read = read_shard_index(index_path());
  EXPECT_EQ(read.total_size, 22U);
  EXPECT_EQ(read.weight_map.at("b"), "model-00002-of-00002.safetensors");
}

TEST_F(Shards, OneFileNeedsNoIndex) {
  fs::remove(index_path());
  EXPECT_THAT(refusal([&] { find_safetensors_files(folder_.path()); }), HasSubstr("neither model.safetensors nor"));
  fs::rename(folder_ / "model-00001-of-00002.safetensors", folder_ / "model.safetensors");
  EXPECT_THAT(find_safetensors_files(folder_.path()), ElementsAre(folder_ / "model.safetensors"));
}

TEST_F(Shards, MissingShardAndMissingTensor) {
  index(R"({"weight_map":{"b":"model-00001-of-00002.safetensors"}})");
  EXPECT_THAT(refusal([&] { find_safetensors_files(folder_.path()); }), HasSubstr("'b' is listed in the index"));
  index(R"({"weight_map":{"a":"model-00001-of-00002.safetensors","d":"model-00003.safetensors"}})");
  EXPECT_THAT(refusal([&] { find_safetensors_files(folder_.path()); }), HasSubstr("shard is missing"));
  EXPECT_EQ(read_shard_index(index_path()).total_size, 0U);
}

TEST_F(Shards, NamesWithPathPartsAreRefused) {
  for (const char* name :
       {"../model.safetensors", "/etc/passwd", "sub/model.safetensors", "..", ".", "", "a\\u0000b"}) {
    EXPECT_THAT(refused_index(std::string(R"({"weight_map":{"a":")") + name + "\"}}"), HasSubstr("unsafe file"))
        << name;
  }
}

TEST_F(Shards, BadIndexFiles) {
  for (const char* text : {"", "{", "\xff", "{}x"}) EXPECT_THAT(refused_index(text), HasSubstr("not valid JSON"));
  for (const char* text : {"[]", "{}", R"({"weight_map":[]})"}) {
    EXPECT_THAT(refused_index(text), HasSubstr("no weight_map")) << text;
  }
  EXPECT_THAT(refused_index(R"({"weight_map":{"a":1}})"), HasSubstr("'a' is not a file name"));
  EXPECT_THAT(refused_index(R"({"weight_map":{"a":"x","a":"y"}})"), HasSubstr("duplicate key 'a'"));
}

}  // namespace
}  // namespace kinglet
