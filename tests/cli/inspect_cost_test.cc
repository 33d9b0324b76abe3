// kinglet inspect --cost
#include <fstream>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::run_kinglet;
using testing_support::TemporaryFolder;

constexpr const char* kTiny = R"({"model_type": "memoryformer", "vocab_size": 50304, "hidden_size": 512,
  "num_hidden_layers": 6, "num_attention_heads": 8, "max_position_embeddings": 2048, "memory_bits": 8,
  "memory_tables": 64, "expanding_bits": 2, "score": "sum_prob", "temperature": 1.0, "bit_order": "msb",
  "norm_outer": "rmsnorm", "rotary_pct": 0.25, "rotary_emb_base": 10000, "torch_dtype": "float16"})";
constexpr const char* kPythia = R"({"model_type": "gpt_neox", "vocab_size": 50304, "hidden_size": 512,
  "num_hidden_layers": 6, "num_attention_heads": 8, "intermediate_size": 2048, "max_position_embeddings": 2048,
  "torch_dtype": "float16"})";

TEST(InspectCost, OfBothKinds) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path());
  const std::string file = (folder / "config.json").string();
  std::ofstream(file) << kTiny;
  auto result = run_kinglet({"inspect", "--cost", folder.path().string(), "--seq", "2048", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  nlohmann::json cost = nlohmann::json::parse(result.out);
  EXPECT_EQ(cost["block_multiply_adds"], 357826560.0);
  EXPECT_EQ(cost["attention_multiply_adds"], 4294967296.0);
  EXPECT_EQ(cost["table_elements"], 6 * (3 * 8388608 + 10485760 + 33554432));
  result = run_kinglet({"inspect", file, "--cost"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("0.358 G (hashes and table rows)"));
  EXPECT_THAT(result.out, HasSubstr("830.47 MB"));

  std::ofstream(file, std::ios::trunc) << kPythia;
  result = run_kinglet({"inspect", "--cost", file, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  cost = nlohmann::json::parse(result.out);
  EXPECT_EQ(cost["block_multiply_adds"], 12.0 * 2048 * 512 * 512);
  EXPECT_EQ(cost["table_elements"], 0);
}

TEST(InspectCost, OfSomethingElse) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path());
  std::ofstream(folder / "config.json") << "{}";
  EXPECT_EQ(run_kinglet({"inspect", "--cost", folder.path().string()}).exit_code, 2);
  EXPECT_EQ(run_kinglet({"inspect", "--cost", (folder / "none").string()}).exit_code, 2);
  EXPECT_EQ(run_kinglet({"inspect", "--cost", folder.path().string(), "--seq", "0"}).exit_code, 2);
}

}  // namespace
}  // namespace kinglet
