// kinglet tokenize: ids and texts in both directions, for people and for programs.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.h"

namespace kinglet {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing_support::run_kinglet;

std::string model() { return (std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text/llama2.json").string(); }

TEST(Tokenize, ShowsIdsWithTheirTokens) {
  const auto result = run_kinglet({"tokenize", model(), "--text", "Hello"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("       1  <s>\n"));
  EXPECT_THAT(result.out, HasSubstr("Hello\n"));
}

TEST(Tokenize, GoesThereAndBack) {
  const auto there =
      run_kinglet({"tokenize", model(), "--json", "--no-special", "--text", "caf\u00e9 \U0001f600 1984"});
  ASSERT_EQ(there.exit_code, 0) << there.err;
  const json encoded = json::parse(there.out);
  ASSERT_EQ(encoded.at("ids").size(), encoded.at("tokens").size());
  std::string ids;
  for (const json& id : encoded.at("ids")) ids += (ids.empty() ? "" : ",") + std::to_string(id.get<int>());
  const auto back = run_kinglet({"tokenize", model(), "--json", "--decode", ids});
  EXPECT_EQ(json::parse(back.out), json({{"text", "caf\u00e9 \U0001f600 1984"}}));
}

TEST(Tokenize, RefusesWithOneLine) {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"tokenize", model()},
                                             {"tokenize", model(), "--text", "a", "--decode", "1"},
                                             {"tokenize", model(), "--decode", "1000000"},
                                             {"tokenize", "/nowhere", "--text", "a"}}) {
    const auto result = run_kinglet(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

}  // namespace
}  // namespace kinglet
