// Checkpoints as one object: the step, the user's list of names, the self-check against another checkpoint.
#include "kinglet/io/checkpoint.h"

#include <cmath>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/refusal.h"
#include "tests/support/state_dict_files.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using testing_support::put;
using testing_support::refusal;
using testing_support::StateDictFile;
using testing_support::TemporaryFolder;

// A file with one tensor and, if given, a count under `key`.
void write_model(const fs::path& path, const std::string& key = {}, std::int64_t count = 0) {
  fs::create_directories(path.parent_path());
  StateDictFile file;
  std::vector<std::pair<std::string, PickleValue*>> items = {{"model", file.model({{"w", {3}}})}};
  if (!key.empty()) items.emplace_back(key, file.builder().integer(count));
  PickleValue* root = file.dict(items);
  std::move(file).write(path, root);
}

TEST(CheckpointStep, FromTheNameOfAFile) {
  const TemporaryFolder folder;
  const std::map<std::string, std::optional<std::int64_t>> names = {
      {"model-500.pt", 500}, {"ckpt_12.pth", 12},         {"step7.ckpt", 7},
      {"iter0003.pt", 3},    {"resnet50.pt", {}},         {"model.pt", {}},
      {"500.pt", {}},        {"m-00001-of-00002.pt", {}}, {"x-99999999999999999999.pt", {}}};
  for (const auto& [name, step] : names) {
    write_model(folder / name);
    EXPECT_EQ(Checkpoint::open(folder / name).step(), step) << name;
  }
}

TEST(CheckpointStep, FromTheNameOfAFolder) {
  const TemporaryFolder folder;
  const std::map<std::string, std::optional<std::int64_t>> names = {
      {"checkpoint-500", 500}, {"global_step12", 12}, {"iter_0000003", 3}, {"step-4", 4},
      {"my_ckpt_5", 5},        {"run2", {}},          {"steps", {}},       {"v1-6", {}}};
  for (const auto& [name, step] : names) {
    write_model(folder / name / "model.pt");
    EXPECT_EQ(Checkpoint::open(folder / name).step(), step) << name;
    EXPECT_EQ(Checkpoint::open((folder / name).string() + "/").step(), step) << name;
  }
}

TEST(CheckpointStep, OtherSources) {
  const TemporaryFolder folder;
  write_model(folder / "a/model.pt", "global_step", 42);
  EXPECT_EQ(Checkpoint::open(folder / "a/model.pt").step(), 42);
  EXPECT_EQ(Checkpoint::open(folder / "a").step(), 42);  // the only file
  write_model(folder / "n/model.pt", "step", -1);
  EXPECT_EQ(Checkpoint::open(folder / "n").step(), std::nullopt);
  write_model(folder / "b/global_step7/x.pt");
  EXPECT_EQ(Checkpoint::open(folder / "b").step(), 7);
  write_model(folder / "b/global_step8/x.pt");
  EXPECT_EQ(Checkpoint::open(folder / "b").step(), std::nullopt);  // which one?
  const fs::path state = folder / "checkpoint-9/trainer_state.json";
  write_model(folder / "checkpoint-9/model.pt");
  put(state, R"({"global_step":11})");
  EXPECT_EQ(Checkpoint::open(folder / "checkpoint-9").step(), 11);
  for (const char* text : {"{", "[]", "{}", R"({"global_step":"x"})"}) {
    put(state, text);
    EXPECT_EQ(Checkpoint::open(folder / "checkpoint-9").step(), 9) << text;
  }
}

// Two checkpoints of a simulated run with two matrices of one shape; Adam without names.
class TwoSteps : public ::testing::Test {
 protected:
  static constexpr std::int64_t kSize = 160;

  TwoSteps() {
    for (const char* name : {"a", "b"}) {
      Pair& pair = pairs_[name];
      for (int i = 0; i < kSize * kSize; ++i) {
        const double g1 = rng_.normal(), g2 = 0.5 + rng_.uniform(), before = rng_.normal();
        pair.before.push_back(static_cast<float>(before));
        pair.now.push_back(static_cast<float>(before + 0.01 * (rng_.normal() - 0.2 * g1 / std::sqrt(g2))));
        pair.first.push_back(static_cast<float>(g1));
        pair.second.push_back(static_cast<float>(g2));
      }
    }
    write("step-1.pt", "a", "b", false);
  }

  // The optimizer's state 0 has the moments of `first`, its state 1 those of `second`.
  void write(const std::string& file, const std::string& first, const std::string& second, bool now) {
    TorchFileWriter writer;
    PickleBuilder& builder = writer.builder;
    const auto array = [&](const std::vector<float>& values) {
      return writer.add_tensor(DType::kF32, {kSize, kSize}, std::as_bytes(std::span(values)));
    };
    std::vector<std::pair<PickleValue*, PickleValue*>> weights, states;
    std::vector<PickleValue*> ids;
    for (const auto& [name, pair] : pairs_) {
      weights.emplace_back(builder.string(name), array(now ? pair.now : pair.before));
    }
    for (const std::string& name : {first, second}) {
      ids.push_back(builder.integer(static_cast<std::int64_t>(ids.size())));
      states.emplace_back(ids.back(), builder.dict({{builder.string("exp_avg"), array(pairs_[name].first)},
                                                    {builder.string("exp_avg_sq"), array(pairs_[name].second)}}));
    }
    PickleValue* group = builder.dict({{builder.string("params"), builder.list(ids)}});
    PickleValue* optimizer = builder.dict(
        {{builder.string("state"), builder.dict(states)}, {builder.string("param_groups"), builder.list({group})}});
    PickleValue* root = builder.dict(
        {{builder.string("model"), writer.ordered_dict(weights)}, {builder.string("optimizer"), optimizer}});
    std::move(writer).write(folder_ / file, root);
  }
  Checkpoint open(const std::string& file, const CheckpointOptions& options = {}) const {
    return Checkpoint::open(folder_ / file, options);
  }

  struct Pair {
    std::vector<float> before, now, first, second;
  };
  Rng rng_{5};
  std::map<std::string, Pair> pairs_;
  TemporaryFolder folder_;
};

TEST_F(TwoSteps, ARightPairingPasses) {
  write("step-2.pt", "a", "b", true);
  EXPECT_NO_THROW(open("step-2.pt").check_pairing_against(open("step-1.pt")));
}

TEST_F(TwoSteps, AWrongPairingIsRefusedUnlessTrusted) {
  write("step-2.pt", "b", "a", true);
  const std::string message = refusal([&] { open("step-2.pt").check_pairing_against(open("step-1.pt")); });
  EXPECT_THAT(message, HasSubstr("paired wrongly (2 of 2 tensors)"));
  EXPECT_THAT(message, HasSubstr("--param-order"));
  EXPECT_NO_THROW(open("step-2.pt", {.trust_order = true}).check_pairing_against(open("step-1.pt")));
  // The user's list of names puts it right.
  put(folder_ / "names.txt", "b\na\n");
  const Checkpoint right = open("step-2.pt", {.parameter_order = folder_ / "names.txt"});
  EXPECT_EQ(right.pairing_rule(), "the user's list of names");
  EXPECT_EQ(right.parameters()[0].name, "b");
  EXPECT_NO_THROW(right.check_pairing_against(open("step-1.pt")));
}

TEST_F(TwoSteps, UnrelatedMomentsOrMissingWeightsProveNothing) {
  for (auto& [name, pair] : pairs_) {
    for (float& value : pair.first) value = static_cast<float>(rng_.normal());
  }
  write("step-2.pt", "a", "b", true);
  EXPECT_NO_THROW(open("step-2.pt").check_pairing_against(open("step-1.pt")));
  EXPECT_NO_THROW(open("step-2.pt").check_pairing([](const Parameter&) { return std::nullopt; }));
}

TEST_F(TwoSteps, ListsOfNames) {
  put(folder_ / "names.txt", "\n\n");
  EXPECT_THAT(refusal([&] { open("step-1.pt", {.parameter_order = folder_ / "names.txt"}); }),
              HasSubstr("lists no names"));
  EXPECT_THROW(open("step-1.pt", {.parameter_order = folder_ / "missing.txt"}), Error);
  put(folder_ / "names.txt", "a\nc\n");
  EXPECT_THAT(refusal([&] { open("step-1.pt", {.parameter_order = folder_ / "names.txt"}); }),
              HasSubstr("no tensor 'c'"));
}

TEST_F(TwoSteps, CheckpointsMayMove) {
  Checkpoint first = open("step-1.pt");
  const ByteView before = first.bytes(first.parameters()[0].weight);
  Checkpoint second = std::move(first);
  EXPECT_EQ(second.bytes(second.parameters()[0].weight).data(), before.data());
  EXPECT_EQ(second.mapping(0).bytes().size(), second.files()[0].size);
  EXPECT_EQ(second.path(), folder_ / "step-1.pt");
}

// Weights that share a storage, or are only a part of one, cannot become parameters; nothing is lost, and it is said.
TEST(CheckpointArrays, TransposedAndSharedWeights) {
  const TemporaryFolder folder;
  StateDictFile file;
  PickleBuilder& builder = file.builder();
  PickleValue* whole = file.tensor({2, 3});
  PickleValue* part = file.tensor({4});
  part->items[1]->items[2] = builder.tuple({builder.integer(2)});  // [4] -> the first two elements
  PickleValue* turned = file.tensor({3, 2});
  turned->items[1]->items[3] = builder.tuple({builder.integer(1), builder.integer(3)});
  PickleValue* root = file.dict({{"whole", whole}, {"tied", whole}, {"part", part}, {"turned", turned}});
  std::move(file).write(folder / "x.pt", root);
  const Checkpoint checkpoint = Checkpoint::open(folder / "x.pt");
  ASSERT_EQ(checkpoint.parameters().size(), 1U);
  EXPECT_EQ(checkpoint.parameters()[0].name, "whole");
  EXPECT_EQ(checkpoint.files()[0].regions.size(), 3U);
  EXPECT_THAT(checkpoint.notes(), Contains(HasSubstr("shared, strided or of another shape: part, turned")));
}

}  // namespace
}  // namespace kinglet
