// metrics.jsonl: writing, going on after a crash, reading.
#include "kinglet/io/metrics.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/process.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::put;
using testing_support::refusal;
using testing_support::slurp;
using testing_support::TemporaryFolder;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Metrics, WritesOneLineAStepAndReadsThemBack) {
  const TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl";
  {
    MetricsWriter writer(path);
    writer.write(10, {{"loss", 3.1875}, {"lr", 3e-4}}, 1764000000.25);
    EXPECT_EQ(slurp(path), "{\"step\":10,\"time\":1764000000.25,\"loss\":3.1875,\"lr\":0.0003}\n");  // at once
    writer.write(20, {{"eval \"x\"", -0.5}}, 1764000001);
  }
  const std::vector<MetricsLine> lines = read_metrics(path);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].step, 10);
  EXPECT_EQ(lines[0].seconds, 1764000000.25);
  EXPECT_EQ(lines[0].value("lr"), 3e-4);
  EXPECT_EQ(lines[0].value("none"), std::nullopt);
  EXPECT_EQ(lines[1].value("eval \"x\""), -0.5);
  EXPECT_THAT(refusal([&] { MetricsWriter again(path); }), HasSubstr("already holds the metrics of a run"));
}

TEST(Metrics, KeepsWhatIsNoNumberInJson) {
  const std::string text =
      metrics_line({1, 2, {{"a", std::nan("")}, {"b", kInfinity}, {"c", -kInfinity}, {"d", 1e300}}});
  EXPECT_EQ(text, "{\"step\":1,\"time\":2.0,\"a\":\"NaN\",\"b\":\"Infinity\",\"c\":\"-Infinity\",\"d\":1e+300}\n");
  const MetricsLine line = parse_metrics(text, "m").at(0);
  EXPECT_TRUE(std::isnan(*line.value("a")));
  EXPECT_EQ(line.value("b"), kInfinity);
  EXPECT_EQ(line.value("c"), -kInfinity);
}

TEST(Metrics, ResumingTakesOutLaterLines) {
  const TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl";
  const std::string kept = "{\"step\": 10,  \"loss\": 3}\n{\"step\":20,\"loss\":2,\"time\":5}\n";
  put(path, kept + "{\"step\":30,\"loss\":1}\n{\"step\":31,\"lo");
  MetricsWriter writer(path, 20);
  EXPECT_EQ(slurp(path), kept);
  writer.write(30, {}, 6);
  EXPECT_EQ(slurp(path), kept + "{\"step\":30,\"time\":6.0}\n");
}

TEST(Metrics, ResumingWithoutAFileStartsOne) {
  const TemporaryFolder folder;
  MetricsWriter writer(folder / "metrics.jsonl", 20);
  writer.write(21, {}, 6);
  EXPECT_EQ(read_metrics(folder / "metrics.jsonl").size(), 1U);
}

TEST(Metrics, RefusesOtherLines) {
  const auto refused = [](std::string_view line) {
    return refusal([&] { parse_metrics("{\"step\":1}\n\n" + std::string(line) + "\n", "m.jsonl"); });
  };
  EXPECT_THAT(refused("{\"step\":"), StartsWith("m.jsonl:3: not valid JSON"));
  EXPECT_THAT(refused("[1]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(refused("{\"loss\":1}"), HasSubstr("step is missing"));
  EXPECT_THAT(refused("{\"step\":1.5}"), HasSubstr("step is missing or no whole number"));
  EXPECT_THAT(refused("{\"step\":18446744073709551615}"), HasSubstr("step is missing or no whole number"));
  EXPECT_THAT(refused("{\"step\":1,\"loss\":\"high\"}"), HasSubstr("'loss' is no number"));
  EXPECT_THAT(refused("{\"step\":1,\"\":1}"), HasSubstr("a name is empty"));
  EXPECT_THAT(refused("{\"step\":1,\"loss\":null}"), HasSubstr("'loss' is no number"));
  EXPECT_THAT(refused("{\"step\":1,\"loss\":[[1]]}"), HasSubstr("a value is no number"));
  EXPECT_THAT(refused("{\"step\":1,\"x\":" + std::string(100000, '[')), HasSubstr("a value is no number"));
  EXPECT_THAT(refusal([] { read_metrics("/nowhere/metrics.jsonl"); }), HasSubstr("no such file"));
  const TemporaryFolder folder;
  put(folder / "m.jsonl", "{\"step\":1}\nrubbish\n");
  EXPECT_THAT(refusal([&] { MetricsWriter writer(folder / "m.jsonl", 1); }), HasSubstr("m.jsonl:2: not valid JSON"));
  EXPECT_EQ(slurp(folder / "m.jsonl"), "{\"step\":1}\nrubbish\n");
}

}  // namespace
}  // namespace kinglet
