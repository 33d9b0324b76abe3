// The metadata of distributed checkpoints, as torch.distributed.checkpoint pickles it and as nobody should.
#include "kinglet/io/dcp.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_files.h"
#include "tests/support/pickle_code.h"
#include "tests/support/refusal.h"

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::golden;
using testing_support::refusal;
namespace code = testing_support::code;

std::string object(const std::string& name, const code::Pairs& fields) {
  return code::global("torch.distributed.checkpoint.metadata", name) + ")\x81" + code::dict(fields) + "b";
}
std::string chunk(const std::vector<std::int64_t>& offsets, const std::vector<std::int64_t>& sizes) {
  return object("ChunkStorageMetadata", {{"offsets", code::integers(offsets)}, {"sizes", code::integers(sizes)}});
}
std::string tensor(const std::vector<std::int64_t>& size, const std::vector<std::string>& chunks) {
  const std::string shape = code::call(code::global("torch", "Size"), {code::integers(size)});
  return object("TensorStorageMetadata", {{"size", shape}, {"chunks", code::list(chunks)}});
}
std::string index(const std::string& name, const std::string& offset) {
  return object("MetadataIndex", {{"fqn", code::text(name)}, {"offset", offset}});
}
std::string place(const std::string& file, std::int64_t offset, std::int64_t length, const std::string& more = "N") {
  return object("_StorageInfo", {{"relative_path", code::text(file)},
                                 {"offset", code::integer(offset)},
                                 {"length", code::integer(length)},
                                 {"transform_descriptors", more}});
}
struct Metadata {
  code::Pairs tensors;
  std::vector<std::pair<std::string, std::string>> places;
  std::string pickle() const {
    std::string stored = "}(";
    for (const auto& [key, value] : places) stored += key + value;
    return code::stream(
        object("Metadata", {{"state_dict_metadata", code::dict(tensors)}, {"storage_data", stored + "u"}}));
  }
};
std::vector<DcpChunk> parse_dcp(const std::string& pickle) { return parse_dcp_metadata(as_bytes(pickle), ".metadata"); }
std::string refused_dcp(const std::string& pickle) {
  return refusal([&] { parse_dcp(pickle); });
}

const std::string kOrigin = code::integers({0, 0});

TEST(DcpMetadata, ChunksInFileOrder) {
  const Metadata metadata{{{"w", tensor({4, 3}, {chunk({0, 0}, {2, 3}), chunk({2, 0}, {2, 3})})},
                           {"v", tensor({4, 3}, {chunk({0, 0}, {4, 3})})},
                           {"step", object("BytesStorageMetadata", {})}},
                          {{index("w", code::integers({2, 0})), place("__1_0.distcp", 0, 50)},
                           {index("v", kOrigin), place("__0_0.distcp", 100, 50)},
                           {index("w", kOrigin), place("__0_0.distcp", 0, 100)},
                           {index("step", "N"), place("__0_0.distcp", 150, 10)}}};
  const auto chunks = parse_dcp(metadata.pickle());
  ASSERT_EQ(chunks.size(), 3U);
  EXPECT_EQ(chunks[0].tensor, "w");
  EXPECT_FALSE(chunks[0].whole);
  EXPECT_EQ(chunks[1].tensor, "v");
  EXPECT_TRUE(chunks[1].whole);
  EXPECT_EQ(chunks[1].begin, 100U);
  EXPECT_EQ(chunks[2].file, "__1_0.distcp");
  EXPECT_THAT(chunks[2].offsets, ElementsAre(2, 0));
  EXPECT_THAT(chunks[2].shape, ElementsAre(2, 3));
}

TEST(DcpMetadata, ClassesWithSlotsAndTransformedChunks) {
  const std::string slots = code::global("torch.distributed.checkpoint.filesystem", "_StorageInfo") + ")\x81" +
                            code::tuple({"N", code::dict({{"relative_path", code::text("f")},
                                                          {"offset", code::integer(0)},
                                                          {"length", code::integer(5)}})}) +
                            "b";
  const code::Pairs one = {{"w", tensor({2, 2}, {chunk({0, 0}, {2, 2})})}};
  EXPECT_EQ(parse_dcp(Metadata{one, {{index("w", kOrigin), slots}}}.pickle()).at(0).length, 5U);
  const std::string packed = place("f", 0, 5, code::list({code::text("zstd")}));
  EXPECT_TRUE(parse_dcp(Metadata{one, {{index("w", kOrigin), packed}}}.pickle()).at(0).transformed);
  EXPECT_FALSE(parse_dcp(Metadata{one, {{index("w", kOrigin), place("f", 0, 5, "]")}}}.pickle()).at(0).transformed);
}

TEST(DcpMetadata, MissingFields) {
  EXPECT_THAT(refused_dcp(code::stream("N")), HasSubstr("state_dict_metadata"));
  EXPECT_THAT(refused_dcp(code::stream(code::dict({}))), HasSubstr("state_dict_metadata"));
  EXPECT_THAT(refused_dcp(code::stream(object("Metadata", {{"state_dict_metadata", "]"}}))),
              HasSubstr("state_dict_metadata"));
  EXPECT_THAT(refused_dcp(code::stream(object("Metadata", {{"state_dict_metadata", "}"}}))), HasSubstr("storage_data"));
  EXPECT_THAT(refused_dcp(Metadata{{{"w", object("TensorStorageMetadata", {{"size", kOrigin}})}}, {}}.pickle()),
              HasSubstr("no size or chunks"));
  EXPECT_THAT(refused_dcp(Metadata{{{"w", tensor({4}, {"N"})}}, {}}.pickle()), HasSubstr("has no place"));
  EXPECT_THAT(refused_dcp(Metadata{{{"w", tensor({4, 4}, {chunk({0}, {4})})}}, {}}.pickle()),
              HasSubstr("has no place"));
  EXPECT_THAT(refused_dcp(Metadata{{{"w", tensor({4}, {chunk({-1}, {4})})}}, {}}.pickle()), HasSubstr("has no place"));
  EXPECT_THAT(refused_dcp(Metadata{{{"w", tensor({-4}, {})}}, {}}.pickle()), HasSubstr("no size"));
  EXPECT_THAT(refused_dcp(Metadata{{}, {{"N", "N"}}}.pickle()), HasSubstr("'fqn'"));
}

TEST(DcpMetadata, ChunksOutsideTheirTensor) {
  EXPECT_THAT(refused_dcp(Metadata{{{"w", tensor({4}, {chunk({5}, {0})})}}, {}}.pickle()), HasSubstr("outside"));
  EXPECT_THAT(refused_dcp(Metadata{{{"w", tensor({4}, {chunk({1}, {4})})}}, {}}.pickle()), HasSubstr("outside"));
  EXPECT_THAT(refused_dcp(Metadata{{{"w", tensor({4}, {chunk({1}, {INT64_MAX})})}}, {}}.pickle()),
              HasSubstr("outside"));
}

TEST(DcpMetadata, Places) {
  const code::Pairs one = {{"w", tensor({2, 2}, {chunk({0, 0}, {2, 2})})},
                           {"v", tensor({2, 2}, {chunk({0, 0}, {2, 2})})}};
  const std::string w = index("w", kOrigin);
  EXPECT_THAT(refused_dcp(Metadata{one, {{index("w", code::integers({1, 0})), place("f", 0, 5)}}}.pickle()),
              HasSubstr("no chunk at the offset"));
  EXPECT_THAT(refused_dcp(Metadata{one, {{w, place("f", -1, 5)}}}.pickle()), HasSubstr("'offset'"));
  EXPECT_THAT(refused_dcp(Metadata{one, {{w, place("f", 0, -5)}}}.pickle()), HasSubstr("'length'"));
  EXPECT_THAT(refused_dcp(Metadata{one, {{w, object("_StorageInfo", {{"offset", "K\x01"}})}}}.pickle()),
              HasSubstr("'relative_path'"));
  EXPECT_THAT(refused_dcp(Metadata{one, {{w, place("f", 0, 6)}, {index("v", kOrigin), place("f", 5, 5)}}}.pickle()),
              HasSubstr("'w' and 'v' overlap in f"));
  EXPECT_EQ(parse_dcp(Metadata{one, {{w, place("f", 0, 5)}, {index("v", kOrigin), place("f", 5, 5)}}}.pickle()).size(),
            2U);
  EXPECT_EQ(parse_dcp(Metadata{one, {{w, place("f", 0, 6)}, {index("v", kOrigin), place("g", 5, 5)}}}.pickle()).size(),
            2U);
}

TEST(DcpMetadata, RandomChangesAreReadOrRefused) {
  const Bytes whole = read_file(golden("checkpoints/dcp/.metadata"));
  EXPECT_EQ(parse_dcp_metadata(whole, ".metadata").size(), 19U);
  Rng rng(41);
  for (int i = 0; i < 500; ++i) {
    Bytes changed = whole;
    for (std::uint64_t n = 1 + rng.below(3); n > 0; --n)
      changed[rng.below(changed.size())] = static_cast<std::byte>(rng.below(256));
    try {
      for (const DcpChunk& found : parse_dcp_metadata(changed, ".metadata"))
        ASSERT_EQ(found.offsets.size(), found.shape.size());
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kBadInput);
    }
  }
}

TEST(DcpKey, OfPyTorchAndMegatron) {
  const auto expect = [](const char* key, const char* owner, const char* parameter, const char* component) {
    const DcpKey split = split_dcp_key(key);
    EXPECT_EQ(split.owner, owner) << key;
    EXPECT_EQ(split.parameter, parameter) << key;
    EXPECT_EQ(split.component, component) << key;
  };
  expect("optim.state.0.weight.exp_avg", "optim.state.0.weight", "0.weight", "exp_avg");
  expect("optim.state.0.weight.exp_avg_sq", "optim.state.0.weight", "0.weight", "exp_avg_sq");
  expect("optim.state.w.max_exp_avg_sq", "optim.state.w", "w", "max_exp_avg_sq");
  expect("optimizer.state.exp_avg.decoder.w", "optimizer.state.decoder.w", "decoder.w", "exp_avg");
  expect("optimizer.state.exp_avg_sq.decoder.w", "optimizer.state.decoder.w", "decoder.w", "exp_avg_sq");
  expect("optimizer.state.fp32_param.decoder.w", "optimizer.state.decoder.w", "decoder.w", "fp32_param");
  expect("state.a.momentum_buffer", "state.a", "a", "momentum_buffer");
  expect("layer.exp_avg", "layer", "layer", "exp_avg");
  expect("model.layer.weight", "model.layer.weight", "model.layer.weight", "");
  expect("model.mystate.w", "model.mystate.w", "model.mystate.w", "");
  expect("exp_avg", "exp_avg", "exp_avg", "");
  expect("", "", "", "");
}

}  // namespace
}  // namespace kinglet
