// torch.save archives made by hand: tensors that do not fit their storages, and archives that are something else.
#include "kinglet/io/torch_file.h"

#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/pickle_code.h"
#include "tests/support/refusal.h"
#include "tests/support/zip_bytes.h"

#include "kinglet/base/rng.h"
#include "kinglet/io/torch_globals.h"

namespace kinglet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::floats;
using testing_support::make_zip;
using testing_support::refusal;
using testing_support::torch_zip;
using testing_support::ZipPart;
namespace code = testing_support::code;

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

// A file of one value and one storage of four floats.
std::string file_of_torch(const std::string& value, const std::string& storage = floats({1, 2, 3, 4})) {
  return torch_zip(code::stream(value), {storage});
}
std::string refused_torch(const std::string& bytes) {
  return refusal([&] { TorchFile::parse(as_bytes(bytes), "x.pt"); });
}
std::string refused_tensor_torch(const code::Tensor& tensor, const std::string& storage = floats({1, 2, 3, 4})) {
  return refused_torch(file_of_torch(code::tensor(tensor), storage));
}
// A call of a rebuild function with these arguments.
std::string rebuilt(const std::string& function, const std::vector<std::string>& arguments) {
  return code::call(code::global("torch._utils", function), arguments);
}

TEST(TorchFile, ReadsATensor) {
  const std::string bytes = file_of_torch(code::tensor({.offset = 1, .sizes = {1, 3}, .strides = {77, 1}}));
  const TorchFile file = TorchFile::parse(as_bytes(bytes), "x.pt");
  const TorchTensor* tensor = file.tensor(file.root());
  ASSERT_NE(tensor, nullptr);
  EXPECT_THAT(tensor->shape, ElementsAre(1, 3));
  EXPECT_EQ(tensor->dtype, DType::kF32);
  EXPECT_TRUE(tensor->is_contiguous());  // the stride of a dimension of one element says nothing
  EXPECT_EQ(as_text(file.contiguous_bytes(*tensor)), floats({2, 3, 4}));
  EXPECT_EQ(file.storages().at(0).crc_offsets.size(), 2U);
  EXPECT_EQ(file.named_tensors().at(0).path, "");
}

TEST(TorchFile, ViewsMustStayInsideTheirStorage) {
  EXPECT_THAT(refused_tensor_torch({.sizes = {5}}), HasSubstr("reaches element 4 of a storage of 4"));
  EXPECT_THAT(refused_tensor_torch({.offset = 1}), HasSubstr("reaches element 4"));
  EXPECT_THAT(refused_tensor_torch({.sizes = {2}, .strides = {4}}), HasSubstr("reaches element 4"));
  EXPECT_THAT(refused_tensor_torch({.sizes = {2, 2}, .strides = {2, 2}}), HasSubstr("reaches element 4"));
  EXPECT_THAT(refused_tensor_torch({.offset = 4, .sizes = {}, .strides = {}}), HasSubstr("reaches element 4"));
  EXPECT_THAT(refused_tensor_torch({.storage_numel = 0, .sizes = {}, .strides = {}}, ""), HasSubstr("storage of 0"));
  EXPECT_THAT(refused_tensor_torch({.offset = kHuge, .sizes = {1}, .strides = {1}}), HasSubstr("reaches element"));
}

TEST(TorchFile, NegativeNumbers) {
  EXPECT_THAT(refused_tensor_torch({.offset = -1}), HasSubstr("storage offset must be a non-negative"));
  EXPECT_THAT(refused_tensor_torch({.sizes = {-1}}), HasSubstr("size must be a non-negative"));
  EXPECT_THAT(refused_tensor_torch({.offset = 3, .strides = {-1}}), HasSubstr("stride must be a non-negative"));
  EXPECT_THAT(refused_tensor_torch({.storage_numel = -4}), HasSubstr("no element count"));
}

TEST(TorchFile, Overflow) {
  EXPECT_THAT(refused_tensor_torch({.sizes = {kHuge, 3}, .strides = {kHuge, 1}}), HasSubstr("overflows"));
  EXPECT_THAT(refused_tensor_torch({.sizes = {3, 3, 3}, .strides = {kHuge, kHuge, kHuge}}), HasSubstr("overflows"));
  EXPECT_THAT(refused_tensor_torch({.offset = kHuge, .sizes = {2, 2, 2}, .strides = {kHuge, 1, 1}}),
              HasSubstr("overflows"));
  EXPECT_THAT(refused_tensor_torch({.sizes = {kHuge, 2}, .strides = {0, 0}}), HasSubstr("overflows"));
  // So many elements of one expanded value that their bytes overflow.
  EXPECT_THAT(refused_tensor_torch({.sizes = {std::int64_t{1} << 62}, .strides = {0}}), HasSubstr("overflows"));
  EXPECT_THAT(refused_tensor_torch({.storage_numel = kHuge}), HasSubstr("instead of"));
}

TEST(TorchFile, EmptyTensorsMayHaveAnySizeAndStride) {
  const std::string bytes =
      file_of_torch(code::tensor({.offset = 9, .sizes = {0, kHuge, kHuge}, .strides = {kHuge, 1, 5}}));
  const TorchFile file = TorchFile::parse(as_bytes(bytes), "x.pt");
  EXPECT_EQ(file.tensor(file.root())->numel(), 0);
  EXPECT_TRUE(file.contiguous_bytes(*file.tensor(file.root())).empty());
}

TEST(TorchFile, ShapesOfTheWrongKind) {
  EXPECT_THAT(refused_tensor_torch({.sizes = {2, 2}, .strides = {2}}), HasSubstr("differ in length"));
  EXPECT_THAT(
      refused_tensor_torch({.sizes = std::vector<std::int64_t>(65, 1), .strides = std::vector<std::int64_t>(65, 1)}),
      HasSubstr("at most 64"));
  const std::string four = code::integers({4}), one = code::integers({1});
  const std::string place = code::storage({});
  EXPECT_THAT(refused_torch(file_of_torch(rebuilt("_rebuild_tensor_v2", {place, "K\x01", "]", one}))),
              HasSubstr("size must be"));
  EXPECT_THAT(refused_torch(file_of_torch(rebuilt("_rebuild_tensor_v2", {place, "N", four, one}))),
              HasSubstr("storage offset"));
  EXPECT_THAT(refused_torch(file_of_torch(rebuilt("_rebuild_tensor_v2", {place, "\x88", four, one}))),
              HasSubstr("storage offset"));
  EXPECT_THAT(
      refused_torch(file_of_torch(rebuilt("_rebuild_tensor_v2", {place, code::integer(0), code::tuple({"N"}), one}))),
      HasSubstr("size must be"));
  EXPECT_THAT(refused_torch(file_of_torch(rebuilt("_rebuild_tensor_v2", {place, code::integer(0), four}))),
              HasSubstr("too few"));
  EXPECT_THAT(refused_torch(file_of_torch(rebuilt("_rebuild_tensor_v2", {"N", code::integer(0), four, one}))),
              HasSubstr("no storage"));
  EXPECT_THAT(refused_torch(file_of_torch(rebuilt("_rebuild_parameter", {}))), HasSubstr("parameter without data"));
}

TEST(TorchFile, SizeObjectsAndOldRebuildFunctions) {
  const std::string size = code::call(code::global("torch", "Size"), {code::integers({2, 2})});
  const std::string bytes =
      file_of_torch(rebuilt("_rebuild_tensor", {code::storage({}), code::integer(0), size, code::integers({2, 1})}));
  const TorchFile file = TorchFile::parse(as_bytes(bytes), "x.pt");
  EXPECT_THAT(file.tensor(file.root())->shape, ElementsAre(2, 2));
}

TEST(TorchFile, StoragesMustHaveTheLengthThatTheyState) {
  EXPECT_THAT(refused_tensor_torch({.storage_numel = 5}), HasSubstr("holds 16 bytes instead of 5 elements of 4"));
  EXPECT_THAT(refused_tensor_torch({.storage_numel = 3, .sizes = {3}}), HasSubstr("instead of 3"));
  EXPECT_THAT(refused_tensor_torch({.storage_class = "DoubleStorage"}), HasSubstr("instead of 4 elements of 8"));
  EXPECT_THAT(refused_tensor_torch({}, floats({1, 2, 3, 4}) + "x"), HasSubstr("holds 17 bytes"));
  EXPECT_THAT(refused_tensor_torch({.key = "1"}), HasSubstr("storage '1' is missing"));
  EXPECT_THAT(refused_tensor_torch({.key = "../data/0"}), HasSubstr("is missing"));
}

TEST(TorchFile, StorageReferences) {
  EXPECT_THAT(refused_tensor_torch({.storage_class = "QUInt8Storage"}), HasSubstr("torch.QUInt8Storage"));  // strict
  const auto loosely = [](const std::string& value) {
    const std::string bytes = file_of_torch(value);
    return refusal([&] { TorchFile::parse(as_bytes(bytes), "x.pt", false); });
  };
  EXPECT_THAT(loosely(code::tensor({.storage_class = "QUInt8Storage"})), HasSubstr("unknown storage type"));
  const auto with_id = [&](const std::string& id) {
    return loosely(
        rebuilt("_rebuild_tensor_v2", {id + "Q", code::integer(0), code::integers({4}), code::integers({1})}));
  };
  const std::string type = code::global("torch", "FloatStorage");
  const auto five = [&](const std::string& tag, const std::string& cls, const std::string& key, const std::string& n) {
    return code::tuple({tag, cls, key, code::text("cpu"), n});
  };
  EXPECT_THAT(with_id("N"), HasSubstr("not a storage tuple"));
  EXPECT_THAT(with_id(code::tuple({code::text("storage"), type})), HasSubstr("not a storage tuple"));
  EXPECT_THAT(with_id(five(code::text("module"), type, code::text("0"), code::integer(4))), HasSubstr("storage tuple"));
  EXPECT_THAT(with_id(five(code::text("storage"), "N", code::text("0"), code::integer(4))),
              HasSubstr("no type or key"));
  EXPECT_THAT(with_id(five(code::text("storage"), type, code::integer(0), code::integer(4))),
              HasSubstr("no type or key"));
  EXPECT_THAT(with_id(five(code::text("storage"), type, code::text("0"), code::number(4))), HasSubstr("element count"));
  EXPECT_THAT(with_id(code::tuple({code::text("storage"), type, code::text("0"), code::text("cpu"), code::integer(4),
                                   code::tuple({code::text("1"), code::integer(0), code::integer(4)})})),
              HasSubstr("view of another storage"));
}

TEST(TorchFile, OneStorageHasOneType) {
  const std::string ints = code::tensor({.storage_class = "IntStorage"});
  EXPECT_THAT(refused_torch(file_of_torch(code::list({code::tensor({}), ints}))), HasSubstr("two types"));
}

TEST(TorchFile, UntypedStorages) {
  code::Tensor untyped{.storage_class = "x", .storage_numel = 16};
  const std::string id = code::tuple({code::text("storage"), code::global("torch.storage", "UntypedStorage"),
                                      code::text("0"), code::text("cpu"), code::integer(16)}) +
                         "Q";
  const auto v3 = [&](const std::string& dtype, std::int64_t numel) {
    return rebuilt("_rebuild_tensor_v3", {id, code::integer(0), code::integers({numel}), code::integers({1}), "\x89",
                                          code::call(code::global("collections", "OrderedDict"), {}), dtype});
  };
  const std::string bytes = file_of_torch(v3(code::global("torch", "uint32"), 4));
  const TorchFile file = TorchFile::parse(as_bytes(bytes), "x.pt");
  EXPECT_EQ(file.tensor(file.root())->dtype, DType::kU32);
  EXPECT_EQ(file.storages()[0].dtype, DType::kU32);
  EXPECT_THAT(refused_torch(file_of_torch(v3(code::global("torch", "uint32"), 5))), HasSubstr("storage of 4"));
  EXPECT_THAT(refused_torch(file_of_torch(v3(code::global("torch", "float8_e5m2"), 17))), HasSubstr("storage of 16"));
  EXPECT_THAT(refused_torch(file_of_torch(v3(code::text("uint32"), 4))), HasSubstr("without dtype"));
  EXPECT_THAT(refused_torch(file_of_torch(v3(code::global("torch", "strided"), 4))), HasSubstr("unknown type"));
}

TEST(TorchFile, SeveralTensorsOfOneStorage) {
  const std::string bytes = file_of_torch(code::list({code::tensor({}), code::tensor({.offset = 2, .sizes = {2}})}));
  const TorchFile file = TorchFile::parse(as_bytes(bytes), "x.pt");
  EXPECT_EQ(file.storages().size(), 1U);
  EXPECT_EQ(file.named_tensors().size(), 2U);
}

TEST(TorchFile, UnsafeNames) {
  const std::string attack = code::call(code::global("os", "system"), {code::text("touch /tmp/owned")});
  const std::string bytes = file_of_torch(attack);
  EXPECT_THAT(refused_torch(bytes), HasSubstr("names 'os.system', which is not plain checkpoint data"));
  const TorchFile inert = TorchFile::parse(as_bytes(bytes), "x.pt", /*strict=*/false);
  EXPECT_EQ(inert.root()->kind, PickleKind::kCall);
  for (const char* name :
       {"os system", "builtins eval", "builtins exec", "torch.storage _load_from_bytes", "torch load",
        "torch FloatStorageX", "torch", "collections OrderedDict.x", "", "numpy load"}) {
    EXPECT_FALSE(is_known_global(name)) << name;
  }
  EXPECT_TRUE(is_known_global("torch.distributed.checkpoint.metadata Metadata"));
  EXPECT_TRUE(is_known_global("numpy.core.multiarray _reconstruct"));
  EXPECT_FALSE(storage_dtype("torch float32"));
  EXPECT_FALSE(torch_dtype("torch FloatStorage"));
  EXPECT_EQ(torch_dtype("torch bfloat16"), DType::kBF16);
}

TEST(TorchFile, Archives) {
  const std::string pickle = code::stream("N");
  EXPECT_THAT(refused_torch(make_zip({{.name = "data.pkl", .data = pickle}})), HasSubstr("not one of torch.save"));
  EXPECT_THAT(refused_torch(make_zip({{.name = "a/other", .data = "x"}})), HasSubstr("without data.pkl"));
  EXPECT_THAT(refused_torch(torch_zip(pickle, {}, {{.name = "other/data/0"}})), HasSubstr("several directories"));
  EXPECT_THAT(refused_torch(torch_zip(pickle, {}, {{.name = "archive/constants.pkl"}})), HasSubstr("TorchScript"));
  EXPECT_THAT(refused_torch(torch_zip(pickle, {}, {{.name = "archive/byteorder", .data = "big"}})),
              HasSubstr("big-endian"));
  const std::string little = torch_zip(pickle, {}, {{.name = "archive/byteorder", .data = "little"}});
  EXPECT_NO_THROW(TorchFile::parse(as_bytes(little), "x.pt"));
  ZipPart damaged{.name = "archive/data.pkl", .data = pickle};
  damaged.crc = 1;
  EXPECT_THAT(refused_torch(make_zip({damaged})), HasSubstr("does not match its checksum"));
  EXPECT_THAT(refused_torch("PK\x03\x04"), HasSubstr("no end record"));
}

TEST(TorchFile, NamedTensorsOfNestedContainers) {
  const std::string tensor = code::tensor({});
  const std::string itself = "]q\x07(h\x07" + tensor + "e";
  const std::string bytes = file_of_torch(code::dict({{"list", code::list({"N", tensor})},
                                                      {"tuple", code::tuple({tensor})},
                                                      {"state", "}(K\x05" + tensor + "N" + tensor + "u"},
                                                      {"itself", itself},
                                                      {"set", "\x8f(" + tensor + "\x90"}}));
  const TorchFile file = TorchFile::parse(as_bytes(bytes), "x.pt");
  std::vector<std::string> paths;
  for (const auto& named : file.named_tensors()) paths.push_back(named.path);
  EXPECT_THAT(paths, ElementsAre("list.1", "tuple.0", "state.5", "itself.1"));
}

// One long string as the key of every level: the names of the tensors would be of quadratic length.
TEST(TorchFile, NamesThatGrowWithoutBoundAreRefused) {
  constexpr int kLevels = 100;
  std::string nested;
  for (int i = 0; i < kLevels; ++i) nested += "}h\x01";
  nested += code::tensor({}) + std::string(kLevels, 's');
  const std::string bytes = file_of_torch(code::text(std::string(1 << 20, 'k')) + "q\x01" + nested + "\x86");
  const TorchFile file = TorchFile::parse(as_bytes(bytes), "x.pt");
  EXPECT_THAT(refusal([&] { file.named_tensors(); }), HasSubstr("longer than 4096 bytes"));
}

TEST(TorchFile, RandomChangesNeverGiveTensorsOutOfBounds) {
  const std::string whole =
      code::stream(code::list({code::tensor({}), code::tensor({.offset = 1, .sizes = {1, 3}, .strides = {3, 1}})}));
  Rng rng(31);
  int accepted = 0;
  for (int i = 0; i < 8000; ++i) {
    std::string pickle = whole;
    for (std::uint64_t n = 1 + rng.below(3); n > 0; --n)
      pickle[rng.below(pickle.size())] = static_cast<char>(rng.below(256));
    const std::string changed = torch_zip(pickle, {floats({1, 2, 3, 4})});
    try {
      const TorchFile file = TorchFile::parse(as_bytes(changed), "x.pt", false);
      ++accepted;
      for (const auto& [path, tensor] : file.named_tensors()) {
        const TorchStorage& storage = file.storages().at(tensor->storage);
        if (tensor->numel() == 0) continue;
        std::int64_t last = tensor->storage_offset;
        for (std::size_t d = 0; d < tensor->shape.size(); ++d) last += (tensor->shape[d] - 1) * tensor->strides[d];
        ASSERT_LE((static_cast<std::uint64_t>(last) + 1) * item_size(tensor->dtype), storage.bytes);
        ASSERT_LE(storage.offset + storage.bytes, changed.size());
      }
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kBadInput);
    }
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace kinglet
