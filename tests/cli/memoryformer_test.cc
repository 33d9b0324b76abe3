// kinglet memoryformer: smaller number types, other people's files, and what generate makes of a model of look-ups.
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing_support::ProcessResult;
using testing_support::put;
using testing_support::run_kinglet;
using testing_support::TemporaryFolder;

constexpr const char* kRecipe = R"(
[data]
train = ["text.jsonl"]
tokens = 32
[tokenizer]
vocabulary_size = 270
[model]
kind = "memoryformer"
hidden_size = 32
num_layers = 1
num_heads = 2
bits = 4
[training]
steps = 4
batch = 4
)";

class MemoryFormerCommand : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    std::string lines;
    for (int i = 0; i < 40; ++i) lines += "{\"text\": \"the old stone house by the river in the cloud\"}\n";
    put(*folder_ / "text.jsonl", lines);
    put(*folder_ / "recipe.toml", kRecipe);
    const ProcessResult result =
        run_kinglet({"train", file("recipe.toml").string(), "--out", file("run").string(), "--threads", "1"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  static void TearDownTestSuite() { folder_.reset(); }
  static fs::path file(const std::string& name) { return *folder_ / name; }
  static std::string model() { return file("run/model").string(); }
  static std::unique_ptr<TemporaryFolder> folder_;
};
std::unique_ptr<TemporaryFolder> MemoryFormerCommand::folder_;

void expect_refused(const ProcessResult& result, const std::string& text) {
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr(text));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(MemoryFormerCommand, PacksIntoHalfTheBytes) {
  const std::string out = file("packed").string();
  const ProcessResult result = run_kinglet({"memoryformer", "pack", model(), "--out", out, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json summary = json::parse(result.out);
  EXPECT_EQ(summary["bits"], 4);
  EXPECT_LT(summary["bytes"].get<double>(),
            0.6 * static_cast<double>(fs::file_size(file("run/model/model.safetensors"))));
  EXPECT_TRUE(fs::exists(file("packed/tokenizer.json")));
  const std::vector<std::string> generate = {"generate", "--prompt", "the old", "--max-tokens", "4", "--temperature",
                                             "0",        "--model",  out};
  EXPECT_EQ(run_kinglet(generate).exit_code, 0);
  expect_refused(run_kinglet({"memoryformer", "pack", model(), "--out", out}), "is there already");
  EXPECT_EQ(run_kinglet({"memoryformer", "pack", model(), "--out", out, "--overwrite", "--dtype", "fp32"}).exit_code,
            0);
  EXPECT_EQ(fs::file_size(file("packed/model.safetensors")), fs::file_size(file("run/model/model.safetensors")));
}

TEST_F(MemoryFormerCommand, GenerateReadsInt8Tables) {
  const ProcessResult result = run_kinglet({"generate", "--model", model(), "--dtype", "int8", "--prompt", "the old",
                                            "--max-tokens", "4", "--temperature", "0", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(json::parse(result.out).is_object());
}

// The same bf16 matrices, and tables that are rounded while loading or were before.
TEST_F(MemoryFormerCommand, PacksInt8TablesForUse) {
  const std::string halves = file("halves").string(), out = file("bytes").string();
  ASSERT_EQ(run_kinglet({"memoryformer", "pack", model(), "--out", halves}).exit_code, 0);
  const ProcessResult packed = run_kinglet({"memoryformer", "pack", halves, "--dtype", "int8", "--out", out, "--json"});
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  const json summary = json::parse(packed.out);
  EXPECT_LT(summary["bytes"].get<double>(), static_cast<double>(fs::file_size(file("halves/model.safetensors"))) -
                                                0.8 * summary["table_elements"].get<double>());
  EXPECT_EQ(json::parse(testing_support::slurp(file("bytes/config.json")))["tables_dtype"], "int8");
  EXPECT_TRUE(fs::exists(file("bytes/tokenizer.json")));

  const auto generated = [](const std::string& from, const std::string& dtype) {
    const ProcessResult result = run_kinglet({"generate", "--model", from, "--dtype", dtype, "--prompt", "the old",
                                              "--max-tokens", "6", "--temperature", "0", "--logprobs", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out);
  };
  const json expected = generated(halves, "int8"), got = generated(out, "int8");
  EXPECT_EQ(got["text"], expected["text"]);
  EXPECT_EQ(got["log_probabilities"], expected["log_probabilities"]);

  const ProcessResult perplexity =
      run_kinglet({"eval", "perplexity", "--model", out, "--file", file("text.jsonl").string(), "--window", "16",
                   "--stride", "8", "--tokens", "64", "--dtype", "bf16", "--json"});
  EXPECT_EQ(perplexity.exit_code, 0) << perplexity.err;
  const ProcessResult cost = run_kinglet({"inspect", "--cost", out, "--json"});
  ASSERT_EQ(cost.exit_code, 0) << cost.err;
  const json costs = json::parse(cost.out);
  // 8 tables of 2^4 rows for each of q, k, v and the first feed-forward layer, of 2^6 for the second; a factor a row.
  EXPECT_EQ(costs["table_bytes"].get<double>(), summary["table_elements"].get<double>() + 4.0 * (4 * 8 * 16 + 8 * 64));
  EXPECT_EQ(costs["table_elements"], summary["table_elements"]);
  EXPECT_NEAR(costs["parameter_bytes"].get<double>(), summary["bytes"].get<double>(), 4096);  // but the header
}

TEST_F(MemoryFormerCommand, Int8TablesAreNotTrained) {
  const std::string out = file("for-use").string();
  ASSERT_EQ(run_kinglet({"memoryformer", "pack", model(), "--dtype", "int8", "--out", out}).exit_code, 0);
  put(file("again.toml"),
      "[data]\ntrain = [\"text.jsonl\"]\ntokens = 32\n[tokenizer]\npath = \"for-use\"\n"
      "[model]\nkind = \"memoryformer\"\nfrom = \"for-use\"\n[training]\nsteps = 1\nbatch = 1\n");
  expect_refused(run_kinglet({"train", file("again.toml").string(), "--out", file("run2").string()}),
                 "cannot be trained");
  for (const char* dtype : {"bf16", "int8"}) {
    expect_refused(run_kinglet({"memoryformer", "pack", out, "--dtype", dtype, "--out", file("x4").string()}),
                   "its tables are int8");
  }
  EXPECT_FALSE(fs::exists(file("x4")));
  put(file("for-use/config.json"), "{\"model_type\": \"memoryformer\"}");
  expect_refused(run_kinglet({"generate", "--model", out, "--prompt", "the"}), "missing");
}

TEST_F(MemoryFormerCommand, TrainsOnlyTablesThatMayBeSoLarge) {
  const auto train = [](const std::string& gigabytes) {
    return run_kinglet({"train", file("recipe.toml").string(), "--out", file("limited").string(), "--dry-run",
                        "--max-table-gb", gigabytes});
  };
  expect_refused(train("1e-6"), "more than the 1e-06 GB that are allowed");
  EXPECT_EQ(train("0.5").exit_code, 0);
  expect_refused(train("-1"), "--max-table-gb");
}

TEST_F(MemoryFormerCommand, RefusesWhatItCannotRead) {
  fs::create_directories(file("empty"));
  expect_refused(run_kinglet({"memoryformer", "import", file("empty").string(), "--out", file("x1").string()}),
                 "layer_NN-model_00-model_states.pt");
  expect_refused(run_kinglet({"memoryformer", "pack", file("empty").string(), "--out", file("x2").string()}), "empty");
  expect_refused(run_kinglet({"memoryformer", "pack", model(), "--out", file("empty").string(), "--overwrite"}),
                 "is no model");
  expect_refused(run_kinglet({"memoryformer", "pack", model(), "--out", file("x3").string(), "--dtype", "int4"}),
                 "int4");
  EXPECT_FALSE(fs::exists(file("x1")) || fs::exists(file("x2")) || fs::exists(file("x3")));
}

}  // namespace
}  // namespace kinglet
