#include "kinglet/methods/excp/chain_plot.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kinglet::excp {
namespace {

using testing::HasSubstr;

TEST(ChainPlot, WeightErrorIsThatOfAllTensorsTogether) {
  TensorRecord a, b;
  a.squared_error = 3;
  a.squared_weight = 100;
  b.squared_error = 1;
  b.squared_weight = 300;
  EXPECT_DOUBLE_EQ(weight_error({a, b}), 0.1);
  EXPECT_EQ(weight_error({}), 0);
  EXPECT_EQ(weight_error({TensorRecord{}}), 0);
}

TEST(ChainPlot, ShowsBothPanels) {
  std::vector<ChainPoint> points;
  for (int i = 1; i <= 5; ++i)
    points.push_back({100 * i, i == 1, 9000000, i == 1 ? 8000000U : 100000U + 1000U * i, 0.01 * i});
  const std::string svg = chain_svg("a <chain>", points);
  EXPECT_EQ(svg.rfind("<svg ", 0), 0U);
  for (const char* text : {"a &lt;chain&gt;", "key frames", "deltas", "as trained", "training step", "kB", "RMS"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_THAT(chain_svg("one lossless step", {points.front()}), HasSubstr("</svg>"));
}

}  // namespace
}  // namespace kinglet::excp
