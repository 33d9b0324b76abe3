#include "kinglet/io/loss_curve.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kinglet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(LossCurve, SmoothingIsAMeanWithoutBias) {
  for (const double value : smoothed({3, 3, 3, 3}, 10)) EXPECT_DOUBLE_EQ(value, 3);
  EXPECT_EQ(smoothed({1, 2, 4}, 1), (std::vector<double>{1, 2, 4}));
  // Window 3: each step halves the older weights. (0.5 * 1 + 1 * 4) / 1.5
  EXPECT_DOUBLE_EQ(smoothed({1, 4}, 3)[1], 3);
  const std::vector<double> broken = smoothed({1, std::nan(""), 1}, 3);
  EXPECT_TRUE(std::isnan(broken[1]));
  EXPECT_DOUBLE_EQ(broken[2], 1);
}

TEST(LossCurve, DrawsTwoPlotsInOneImage) {
  std::vector<MetricsLine> lines;
  for (int step = 0; step < 200; ++step) lines.push_back({step, 0, {{"loss", 4.0 / (1 + step)}, {"lr", 1e-3}}});
  lines.push_back({200, 0, {{"eval_loss", 1}}});
  const std::string svg = loss_curve_svg(lines, "a <run>");
  EXPECT_EQ(count(svg, "<svg"), 3U);
  EXPECT_EQ(count(svg, "</svg>"), 3U);
  EXPECT_THAT(svg, HasSubstr("a &lt;run&gt;"));
  EXPECT_THAT(svg, HasSubstr("loss (mean over 4 points)"));
  EXPECT_THAT(svg, HasSubstr("eval_loss"));
  EXPECT_THAT(svg, HasSubstr("learning rate"));
}

TEST(LossCurve, LeavesOutWhatIsMissing) {
  const std::string svg = loss_curve_svg({{1, 0, {{"loss", 2}}}, {2, 0, {{"loss", std::nan("")}}}}, "");
  EXPECT_EQ(count(svg, "<svg"), 1U);
  EXPECT_THAT(svg, Not(HasSubstr("mean over")));
  EXPECT_EQ(count(loss_curve_svg({}, "nothing"), "<svg"), 1U);
}

}  // namespace
}  // namespace kinglet
