// Files that PyTorch, safetensors and torch.distributed.checkpoint wrote: every tensor has the type, shape and bytes
// that PyTorch reads from them (tests/golden/io/make_torch_file_golden.py).
#include <map>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_files.h"
#include "tests/support/refusal.h"

#include "kinglet/base/hash.h"
#include "kinglet/io/checkpoint_layout.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/io/torch_file.h"

namespace kinglet {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;
using testing_support::golden;
using testing_support::golden_json;
using testing_support::refusal;

// The elements in row-major order, whatever the strides.
Bytes gathered(const TorchFile& file, const TorchTensor& tensor) {
  const std::size_t item = item_size(tensor.dtype);
  Bytes result;
  std::vector<std::int64_t> index(tensor.shape.size(), 0);
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    std::int64_t place = tensor.storage_offset;
    for (std::size_t d = 0; d < index.size(); ++d) place += index[d] * tensor.strides[d];
    const auto at = file.storages()[tensor.storage].offset + static_cast<std::uint64_t>(place) * item;
    const ByteView element = file.bytes().subspan(at, item);
    result.insert(result.end(), element.begin(), element.end());
    for (std::size_t d = index.size(); d-- > 0 && ++index[d] == tensor.shape[d];) index[d] = 0;
  }
  return result;
}

ordered_json facts(DType dtype, const std::vector<std::int64_t>& shape, ByteView bytes) {
  return ordered_json::array({dtype_name(dtype), shape, crc32(bytes)});
}

class FilesOfPyTorch : public ::testing::TestWithParam<std::string> {};

TEST_P(FilesOfPyTorch, EveryTensor) {
  const ordered_json expected = golden_json("tensors.json").at(GetParam());
  ordered_json found = ordered_json::object();
  if (GetParam().ends_with(".safetensors")) {
    const SafetensorsFile file(golden(GetParam()));
    for (const TensorView& tensor : file.tensors()) found[tensor.name] = facts(tensor.dtype, tensor.shape, tensor.data);
  } else {
    const TorchFile file = TorchFile::open(golden(GetParam()), /*strict=*/false);
    EXPECT_EQ(file.format(), GetParam() == "files/legacy.pt" ? TorchFile::Format::kLegacy : TorchFile::Format::kZip);
    for (const auto& [path, tensor] : file.named_tensors()) {
      const Bytes bytes = gathered(file, *tensor);
      found[path] = facts(tensor->dtype, tensor->shape, bytes);
      if (tensor->is_contiguous()) {
        EXPECT_EQ(as_text(file.contiguous_bytes(*tensor)), as_text(bytes)) << path;
      }
    }
    EXPECT_EQ(found.dump(), expected.dump());  // in the order of the file
  }
  EXPECT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected.items()) EXPECT_EQ(found[name], tensor) << name;
}

std::vector<std::string> single_files() {
  const ordered_json files = golden_json("tensors.json");
  std::vector<std::string> names;
  for (const auto& [name, tensors] : files.items()) {
    if (name != "checkpoints/dcp") names.push_back(name);
  }
  return names;
}

std::string test_name(const ::testing::TestParamInfo<std::string>& file) {
  std::string name = file.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Golden, FilesOfPyTorch, ::testing::ValuesIn(single_files()), test_name);

// The chunks of a distributed checkpoint, put back into their tensors.
TEST(DistributedCheckpointOfPyTorch, EveryTensor) {
  const CheckpointFiles files = read_checkpoint_files(golden("checkpoints/dcp"));
  const ordered_json expected = golden_json("tensors.json").at("checkpoints/dcp");
  std::map<std::string, Bytes> whole;
  std::set<std::string> chunked;
  for (const DcpArray& array : files.dcp) {
    const ordered_json& tensor = expected.at(array.name);
    EXPECT_EQ(dtype_name(array.dtype), tensor[0].get<std::string>());
    const CheckpointFile& file = files.files[array.region.file];
    const Region& region = file.layout.regions[array.region.region];
    const ByteView bytes = file.map.bytes().subspan(region.offset, region.bytes);
    Bytes& place = whole[array.name];
    if (array.whole) {
      EXPECT_EQ(ordered_json(array.shape), tensor[1]) << array.name;
      place.assign(bytes.begin(), bytes.end());
      continue;
    }
    chunked.insert(array.name);  // rows of a matrix
    const auto row_bytes = static_cast<std::size_t>(array.shape[1]) * item_size(array.dtype);
    place.resize(tensor[1][0].get<std::size_t>() * row_bytes);
    EXPECT_EQ(array.offsets[1], 0);
    std::copy(bytes.begin(), bytes.end(), place.begin() + array.offsets[0] * static_cast<std::int64_t>(row_bytes));
  }
  EXPECT_EQ(chunked.size(), 3U);
  EXPECT_EQ(whole.size(), expected.size());
  for (const auto& [name, tensor] : expected.items()) EXPECT_EQ(crc32(whole[name]), tensor[2]) << name;
}

TEST(FilesOfPyTorchAsObjects, AliasesAndViews) {
  for (const char* name : {"files/views.pt", "files/legacy.pt"}) {
    const TorchFile file = TorchFile::open(golden(name));  // strict: only known names occur
    std::map<std::string, const TorchTensor*> tensors;
    for (const auto& [path, tensor] : file.named_tensors()) tensors[path] = tensor;
    EXPECT_EQ(tensors["shared.0"]->storage, tensors["shared.2"]->storage);
    EXPECT_EQ(tensors["shared.2"]->storage_offset, 2);
    EXPECT_EQ(tensors["transposed"]->storage, tensors["columns"]->storage);
    EXPECT_FALSE(tensors["transposed"]->is_contiguous());
    EXPECT_FALSE(tensors["columns"]->is_contiguous());
    EXPECT_FALSE(tensors["expanded"]->is_contiguous());
    EXPECT_TRUE(tensors["rows"]->is_contiguous());
    EXPECT_TRUE(tensors["empty"]->is_contiguous());
    EXPECT_TRUE(file.contiguous_bytes(*tensors["empty"]).empty());
    EXPECT_EQ(tensors["parameter"]->storage, tensors["module.weight"]->storage);
    EXPECT_THAT(refusal([&] { file.contiguous_bytes(*tensors["expanded"]); }), HasSubstr("not contiguous"));

    EXPECT_EQ(file.root()->find("text")->text, "é");
    EXPECT_EQ(file.root()->find("big")->text, "1208925819614629174706176");
    EXPECT_EQ(file.root()->find("none")->kind, PickleKind::kNone);
    EXPECT_EQ(file.root()->find("set")->items[0]->text, "__builtin__ set");
  }
}

TEST(FilesOfPyTorchAsObjects, TorchScriptIsRefused) {
  EXPECT_THAT(refusal([] { TorchFile::open(golden("files/script.pt")); }), HasSubstr("TorchScript"));
}

TEST(FilesOfPyTorchAsObjects, UnknownNamesAreRefusedWhenStrict) {
  const auto path = golden("checkpoints/zero2/global_step7/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt");
  EXPECT_THAT(refusal([&] { TorchFile::open(path); }), HasSubstr("deepspeed.runtime."));
  EXPECT_NO_THROW(TorchFile::open(path, false));
}

// Each file cut at every byte: refused, never a wrong tensor.
TEST(FilesOfPyTorchAsObjects, TruncatedAtEveryByte) {
  for (const char* name : {"files/views.pt", "files/legacy.pt"}) {
    const Bytes whole = read_file(golden(name));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_THROW(TorchFile::parse(ByteView(whole).first(size), name), Error) << name << " " << size;
    }
    EXPECT_NO_THROW(TorchFile::parse(whole, name));
  }
}

}  // namespace
}  // namespace kinglet
