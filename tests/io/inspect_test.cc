// What `kinglet inspect` finds and how it says so.
#include "kinglet/io/inspect.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
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
using ::testing::Not;
using testing_support::floats;
using testing_support::golden;
using testing_support::le;
using testing_support::put;
using testing_support::refusal;
using testing_support::TemporaryFolder;
using testing_support::torch_zip;
namespace code = testing_support::code;

TEST(Inspect, SafetensorsFile) {
  const Inspection found = inspect(golden("files/dtypes.safetensors"), {.statistics = true});
  EXPECT_EQ(found.kind, "safetensors file");
  EXPECT_EQ(found.metadata.at("format"), "pt");
  EXPECT_EQ(found.tensors.size(), 16U);
  for (const InspectedTensor& tensor : found.tensors) {
    EXPECT_THAT(tensor.shape, ElementsAre(2, 3));
    EXPECT_EQ(tensor.bytes, 6 * item_size(tensor.dtype));
    EXPECT_EQ(tensor.statistics.has_value(), tensor.dtype != DType::kC64);
  }
  const std::string text = inspection_text(found);
  EXPECT_THAT(text, HasSubstr("note: every element type"));
  EXPECT_THAT(text, HasSubstr("F8_E4M3: 1 tensors, 6 elements, 6 B"));
  const nlohmann::json document = inspection_json(found);
  EXPECT_EQ(document["totals"]["F32"]["bytes"], 24);
  EXPECT_EQ(document["tensors"].size(), 16U);
  EXPECT_FALSE(document.contains("pickle"));
}

TEST(Inspect, GgufFile) {
  const Inspection found = inspect(golden("files/every_type.gguf"));
  EXPECT_EQ(found.kind, "GGUF file, version 3");
  EXPECT_EQ(found.tensors.size(), 13U);
  EXPECT_EQ(found.metadata.at("test.texts"), "3 x text: a, , ▁the");
  EXPECT_EQ(found.metadata.at("test.u64"), "18446744073709551615");
  EXPECT_EQ(found.metadata.at("test.f32"), "0.1");
  EXPECT_EQ(found.metadata.at("test.bool"), "true");
  const std::string text = inspection_text(found);
  EXPECT_THAT(text, HasSubstr("Q4_K: 1 tensors, 1536 elements, 864 B"));
  EXPECT_THAT(text, HasSubstr("BF16: 1 tensors, 1536 elements"));
  EXPECT_EQ(inspection_json(found)["totals"]["Q6_K"]["bytes"], 3 * 2 * 210);
  EXPECT_FALSE(found.tensors.back().statistics.has_value());
}

TEST(Inspect, BlocksOfGgufHaveStatisticsAndElements) {
  const Inspection found = inspect(golden("files/every_type.gguf"), {.tensor = "q8_0"});
  ASSERT_EQ(found.tensors.size(), 1U);
  const InspectedTensor& tensor = found.tensors.front();
  EXPECT_EQ(tensor.block_type, "Q8_0");
  EXPECT_EQ(tensor.bytes, 3 * 512 / 32 * 34);
  EXPECT_EQ(tensor.first_elements.front(), -0.28131103515625);
  EXPECT_NEAR(tensor.statistics->deviation, 1, 0.05);
  for (const InspectedTensor& one : inspect(golden("files/every_type.gguf"), {.statistics = true}).tensors) {
    EXPECT_TRUE(one.statistics.has_value()) << one.name;
  }
}

TEST(Inspect, TextOfMetadataIsCut) {
  Inspection found{.path = "x", .kind = "file", .metadata = {{"template", std::string(159, 'a') + "ä and more"}}};
  EXPECT_THAT(inspection_text(found), HasSubstr(std::string(159, 'a') + "... (170 bytes)\n"));
  EXPECT_EQ(inspection_json(found)["metadata"]["template"], found.metadata["template"]);
}

TEST(Inspect, TorchFile) {
  const Inspection found = inspect(golden("files/views.pt"), {.statistics = true, .pickle = true});
  EXPECT_EQ(found.kind, "PyTorch file (zip)");
  EXPECT_EQ(found.tensors.size(), 15U);
  EXPECT_THAT(found.pickle, HasSubstr("'transposed': call (not run)"));
  EXPECT_THAT(found.pickle, HasSubstr("(same object as #"));
  for (const InspectedGlobal& global : found.globals) EXPECT_FALSE(global.runs_in_python) << global.name;
  for (const InspectedTensor& tensor : found.tensors) {
    if (tensor.name != "columns") continue;
    EXPECT_EQ(tensor.statistics->mean, (2 + 3 + 8 + 9 + 14 + 15 + 20 + 21) / 8.0);
  }
  EXPECT_EQ(inspection_json(found)["pickle"], found.pickle);
  EXPECT_EQ(inspect(golden("files/legacy.pt")).kind, "PyTorch file (legacy)");
  EXPECT_TRUE(inspect(golden("files/legacy.pt")).pickle.empty());
}

TEST(Inspect, OneTensor) {
  const Inspection found = inspect(golden("files/views.pt"), {.tensor = "transposed"});
  ASSERT_EQ(found.tensors.size(), 1U);
  EXPECT_THAT(found.tensors[0].first_elements, ElementsAre(0, 6, 12, 18, 1, 7, 13, 19));
  EXPECT_EQ(found.tensors[0].statistics->maximum, 23);
  EXPECT_THAT(inspection_text(found), HasSubstr("first elements: 0 6 12 18 1 7 13 19"));
  EXPECT_EQ(inspection_json(found)["tensors"][0]["first_elements"][1], 6);
  EXPECT_THAT(refusal([] { inspect(golden("files/views.pt"), {.tensor = "none"}); }), HasSubstr("no tensor 'none'"));
  EXPECT_THAT(refusal([] { inspect(golden("checkpoints/dcp/.metadata"), {.tensor = "none"}); }),
              HasSubstr("no tensor 'none'"));
}

TEST(Inspect, NamesThatWouldRunCodeArePointedOut) {
  const TemporaryFolder folder;
  const std::string attack = code::call(code::global("os", "system"), {code::text("rm -rf \x1b[2J")});
  put(folder / "x.pt", torch_zip(code::stream(attack), {}));
  put(folder / "x.pkl", code::stream(attack));
  for (const char* name : {"x.pt", "x.pkl"}) {
    const Inspection found = inspect(folder / name, {.pickle = true});
    ASSERT_EQ(found.globals.size(), 1U);
    EXPECT_TRUE(found.globals[0].runs_in_python);
    const std::string text = inspection_text(found);
    EXPECT_THAT(text, HasSubstr("os system   would run code in Python"));
    EXPECT_THAT(text, HasSubstr("rm -rf \\x1b[2J"));
    EXPECT_TRUE(inspection_json(found)["globals"][0]["would_run_code_in_python"]);
  }
}

// A view that repeats one number 2^40 times: as small in the file as any other.
TEST(Inspect, ExpandedViewsHaveNoStatistics) {
  const TemporaryFolder folder;
  put(folder / "x.pt",
      torch_zip(code::stream(code::dict({{"w", code::tensor({.sizes = {std::int64_t{1} << 40}, .strides = {0}})},
                                         {"v", code::tensor({})}})),
                {floats({1, 2, 3, 4})}));
  const Inspection found = inspect(folder / "x.pt", {.statistics = true});
  EXPECT_EQ(found.tensors[0].bytes, std::uint64_t{1} << 42);
  EXPECT_FALSE(found.tensors[0].statistics);
  EXPECT_TRUE(found.tensors[1].statistics);
  EXPECT_THAT(inspect(folder / "x.pt", {.tensor = "w"}).tensors[0].first_elements, ElementsAre(1, 1, 1, 1, 1, 1, 1, 1));
}

TEST(Inspect, OtherKindsOfFiles) {
  const TemporaryFolder folder;
  const auto kind = [&](const char* name, const std::string& content) {
    put(folder / name, content);
    return inspect(folder / name).kind;
  };
  EXPECT_EQ(kind("a.txt", "hello"), "other file");
  EXPECT_EQ(kind("empty", ""), "other file");
  EXPECT_EQ(kind("a.gz", "\x1f\x8b..."), "gzip-compressed file");
  EXPECT_EQ(kind("a.zip", testing_support::make_zip({{.name = "a", .data = "x"}})), "zip archive");
  EXPECT_EQ(inspect(folder / "a.zip").metadata.at("a"), "1 bytes");
  testing_support::ZipPart packed{.name = "b", .data = "x"};
  packed.method = 8;
  EXPECT_EQ(kind("b.zip", testing_support::make_zip({packed})), "zip archive");
  EXPECT_THAT(inspect(golden("files/script.pt")).kind, HasSubstr("TorchScript"));
  EXPECT_EQ(inspect(golden("checkpoints/dcp/.metadata")).kind, "pickle");
  EXPECT_THAT(refusal([&] { kind("a.pkl", "\x80\x02"); }), HasSubstr("bad pickle"));
  EXPECT_THAT(refusal([&] { kind("a.safetensors", "x"); }), HasSubstr("too short"));
  EXPECT_THAT(refusal([&] { inspect(folder / "none"); }), HasSubstr("no such file"));
}

TEST(Inspect, IdxArrays) {
  const TemporaryFolder folder;
  const auto idx = [](int type, const std::vector<std::uint32_t>& sizes, std::size_t bytes) {
    std::string text = std::string(2, '\0') + static_cast<char>(type) + static_cast<char>(sizes.size());
    for (const std::uint32_t size : sizes) text += le(__builtin_bswap32(size), 4);
    return text + std::string(bytes, 'x');
  };
  const auto found = [&](const std::string& content) {
    put(folder / "x", content);
    return inspect(folder / "x");
  };
  const Inspection images = found(idx(8, {2, 3, 4}, 24));
  EXPECT_EQ(images.kind, "IDX array (big-endian)");
  EXPECT_THAT(images.tensors.at(0).shape, ElementsAre(2, 3, 4));
  EXPECT_EQ(found(idx(0x0D, {5}, 20)).tensors.at(0).dtype, DType::kF32);
  for (const std::string& other : {idx(8, {2, 3}, 5), idx(8, {2, 3}, 7), idx(7, {2}, 2), idx(8, {}, 0), idx(8, {0}, 0),
                                   idx(8, {1, 1, 1, 1, 1, 1, 1, 1, 1}, 1), idx(8, {2}, 2).substr(0, 6)}) {
    EXPECT_EQ(found(other).kind, "other file");
  }
}

TEST(Inspect, CheckpointFolder) {
  const Inspection found = inspect(golden("checkpoints/trainer/checkpoint-2"));
  EXPECT_EQ(found.kind, "checkpoint folder");
  ASSERT_TRUE(found.checkpoint);
  EXPECT_EQ(found.checkpoint->step, 2);
  EXPECT_EQ(found.checkpoint->parameters.size(), 28U);
  EXPECT_EQ(found.checkpoint->parameters[0].moments, "exp_avg, exp_avg_sq");
  const std::string text = inspection_text(found);
  EXPECT_THAT(text, HasSubstr("step: 2\noptimizer: Adam, paired by module order of gpt_neox"));
  EXPECT_THAT(text, HasSubstr("verbatim"));
  EXPECT_THAT(text, Not(HasSubstr("std")));
  EXPECT_THAT(inspection_text(inspect(golden("checkpoints/trainer/checkpoint-2"), {.statistics = true})),
              HasSubstr("std"));
  const nlohmann::json document = inspection_json(found);
  EXPECT_EQ(document["checkpoint"]["optimizer"], "Adam");
  EXPECT_EQ(document["checkpoint"]["files"].size(), 8U);
  EXPECT_EQ(document["checkpoint"]["parameters"][0]["dtype"], "F32");
  const Inspection one = inspect(golden("checkpoints/trainer/checkpoint-2"), {.tensor = "embed_out.weight exp_avg_sq"});
  EXPECT_EQ(one.tensors.size(), 1U);
  EXPECT_FALSE(one.checkpoint);
}

TEST(Inspect, FoldersWithMomentsOfOtherKinds) {
  const TemporaryFolder folder;
  const TemporaryFolder lists;
  put(lists / "names.txt", testing_support::kNamesOfLoop);
  fs::copy(golden("checkpoints/loop-3.pt"), folder / "loop-3.pt");
  const Inspection found = inspect(folder.path(), {.parameter_order = lists / "names.txt"});
  bool amsgrad = false, none = false;
  for (const InspectedParameter& parameter : found.checkpoint->parameters) {
    amsgrad = amsgrad || parameter.moments == "exp_avg, exp_avg_sq, max_exp_avg_sq";
    none = none || parameter.moments == "none";
  }
  EXPECT_TRUE(amsgrad);
  EXPECT_TRUE(none);
  EXPECT_EQ(inspection_json(found)["checkpoint"]["step"], nullptr);
  bool buffer = false;  // arrays that belong to no parameter are listed too
  for (const InspectedTensor& tensor : found.tensors) {
    buffer = buffer || tensor.name == "loop-3.pt:model_state_dict.norm.running_mean";
  }
  EXPECT_TRUE(buffer);
}

TEST(Inspect, StoresOfCheckpoints) {
  const TemporaryFolder folder;
  put(folder / "manifest.json", "{}");
  put(folder / "steps/1.kxc", "x");
  EXPECT_EQ(inspect(folder.path()).kind, "ExCP checkpoint store");
  EXPECT_THAT(inspection_text(inspect(folder.path())), HasSubstr("see: kinglet ckpt info"));
  EXPECT_EQ(inspect(folder / "steps/1.kxc").kind, "step of an ExCP checkpoint store");
  EXPECT_THAT(inspection_json(inspect(folder / "steps/1.kxc"))["hint"].get<std::string>(), HasSubstr("kinglet ckpt"));
}

TEST(Inspect, NumbersThatJsonCannotHold) {
  const TemporaryFolder folder;
  put(folder / "x.pt", torch_zip(code::stream(code::dict({{"w", code::tensor({})}})),
                                 {floats({std::numeric_limits<float>::infinity(), 1, std::nanf(""), 0})}));
  const Inspection found = inspect(folder / "x.pt", {.tensor = "w"});
  const nlohmann::json tensor = inspection_json(found)["tensors"][0];
  EXPECT_EQ(tensor["first_elements"], nlohmann::json({nullptr, 1.0, nullptr, 0.0}));
  EXPECT_EQ(tensor["statistics"]["nan"], 1);
  EXPECT_EQ(tensor["statistics"]["inf"], 1);
  EXPECT_THAT(inspection_text(found), HasSubstr("1 NaN, 1 Inf"));
}

TEST(Inspect, OptimizerNames) {
  EXPECT_EQ(optimizer_name(OptimizerKind::kNone), "none");
  EXPECT_EQ(optimizer_name(OptimizerKind::kAdam), "Adam");
  EXPECT_EQ(optimizer_name(OptimizerKind::kAdamAmsgrad), "Adam (AMSGrad)");
  EXPECT_EQ(optimizer_name(OptimizerKind::kMomentum), "momentum");
  EXPECT_EQ(optimizer_name(OptimizerKind::kOther), "other");
}

}  // namespace
}  // namespace kinglet
