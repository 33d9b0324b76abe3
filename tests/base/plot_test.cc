#include "kinglet/base/plot.h"

#include <cctype>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing::Not;

// A checker of well-formedness for the XML that a chart uses: elements, attributes in double quotes, character data
// with the predefined entities. Returns what is wrong, or nothing.
class XmlChecker {
 public:
  explicit XmlChecker(std::string_view text) : rest_(text) {}

  std::string check() {
    while (!rest_.empty() && wrong_.empty()) {
      if (rest_.front() == '<')
        tag();
      else
        character_data(rest_.find('<'), false);
    }
    if (wrong_.empty() && (!open_.empty() || roots_ != 1)) wrong_ = "not one root element";
    return wrong_;
  }

 private:
  std::string_view take(std::size_t count) {
    const std::string_view part = rest_.substr(0, count);
    rest_.remove_prefix(part.size());
    return part;
  }
  std::string_view name() {
    std::size_t length = 0;
    while (length < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[length])) != 0 ||
                                     rest_[length] == '-' || rest_[length] == ':'))
      ++length;
    if (length == 0) wrong_ = "a name is missing";
    return take(length);
  }
  void character_data(std::size_t length, bool attribute) {
    const std::string_view text = take(length);
    if (!attribute && open_.empty() && text.find_first_not_of(" \n") != std::string_view::npos)
      wrong_ = "text outside the root";
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      if (byte < 0x20 && byte != '\n') wrong_ = "a control character";
      if (text.substr(i, 3) == "\xEF\xBF\xBE" || text.substr(i, 3) == "\xEF\xBF\xBF") wrong_ = "not an XML character";
      if (text[i] == '<') wrong_ = "'<' inside a value";
      if (text[i] != '&') continue;
      const std::string_view entity = text.substr(i, text.find(';', i) - i + 1);
      if (entity != "&amp;" && entity != "&lt;" && entity != "&gt;" && entity != "&quot;") wrong_ = "a bare '&'";
    }
  }
  void tag() {
    take(1);
    const bool closing = rest_.starts_with('/');
    if (closing) take(1);
    const std::string_view element = name();
    if (closing) {
      if (open_.empty() || open_.back() != element) wrong_ = "elements cross";
      if (!open_.empty()) open_.pop_back();
      if (take(1) != ">") wrong_ = "a tag is not closed";
      return;
    }
    if (open_.empty()) ++roots_;
    std::vector<std::string_view> seen;
    while (wrong_.empty() && rest_.starts_with(' ')) {
      take(1);
      seen.push_back(name());
      if (std::count(seen.begin(), seen.end(), seen.back()) > 1) wrong_ = "an attribute twice";
      if (take(2) != "=\"") wrong_ = "an attribute without a value";
      character_data(rest_.find('"'), true);
      take(1);
    }
    const bool empty = rest_.starts_with('/');
    if (empty) take(1);
    if (take(1) != ">") wrong_ = "a tag is not closed";
    if (!empty) open_.push_back(element);
  }

  std::string_view rest_;
  std::vector<std::string_view> open_;
  int roots_ = 0;
  std::string wrong_;
};

void expect_good_svg(const std::string& svg) {
  EXPECT_EQ(XmlChecker(svg).check(), "") << svg;
  EXPECT_THAT(svg, testing::StartsWith("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
}

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(XmlCheckerItself, SeesBrokenXml) {
  EXPECT_EQ(XmlChecker("<a b=\"c\"><d/>t &amp;</a>\n").check(), "");
  for (const char* broken :
       {"<a>", "<a></b>", "<a b=c/>", "<a>&</a>", "<a b=\"<\"/>", "<a/><a/>", "x<a/>", "<a b=\"1\" b=\"2\"/>"}) {
    EXPECT_NE(XmlChecker(broken).check(), "") << broken;
  }
}

TEST(EscapeXml, AllSpecialCharacters) {
  EXPECT_EQ(escape_xml("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
  EXPECT_EQ(escape_xml("line\nbreak"), "line\\x0abreak");
}

TEST(LinePlot, DrawsOneLineASeriesAndTheTexts) {
  LinePlot plot{
      "Loss", "step", "nats", false, {{"train", {0, 1, 2}, {3, 2, 1}, true}, {"test", {0, 1, 2}, {3, 2.5, 2}}}};
  const std::string svg = to_svg(plot);
  expect_good_svg(svg);
  for (const char* text : {">Loss<", ">step<", ">nats<", ">train<", ">test<"}) EXPECT_THAT(svg, HasSubstr(text));
  EXPECT_EQ(occurrences(svg, "stroke-width=\"1.8\""), 2u);
  EXPECT_EQ(occurrences(svg, "<circle"), 3u);
  EXPECT_THAT(to_svg(plot, 300, 200), HasSubstr("width=\"300\" height=\"200\""));
}

TEST(LinePlot, NanBreaksTheLine) {
  const std::string svg = to_svg(LinePlot{"t", "x", "y", false, {{"", {0, 1, 2, 3, 4}, {1, 2, kNaN, 3, 4}}}});
  expect_good_svg(svg);
  const std::size_t begin = svg.find("<path d=\"M", svg.find("stroke=\"#333\""));
  const std::string_view path = std::string_view(svg).substr(begin, svg.find('/', begin) - begin);
  EXPECT_EQ(occurrences(path, "M"), 2u) << path;
  EXPECT_EQ(occurrences(path, "L"), 2u) << path;
}

TEST(LinePlot, HostileTextsAndEmptyData) {
  expect_good_svg(to_svg(LinePlot{}));
  expect_good_svg(to_svg(LinePlot{"<script>&\"'", "\x01\xff", "\xEF\xBF\xBF", true, {{"a&b", {}, {}}}}));
  expect_good_svg(to_svg(LinePlot{"", "", "", false, {{"only", {5}, {5}, true}}}));
  expect_good_svg(to_svg(LinePlot{"", "", "", true, {{"none above nought", {1, 2}, {-1, 0}}}}));
}

TEST(LinePlot, ExtremeValuesGiveFiniteCoordinates) {
  const double tiny = std::numeric_limits<double>::denorm_min(), huge = std::numeric_limits<double>::max();
  const std::vector<std::vector<double>> cases = {
      {kNaN, kNaN, kNaN}, {kInf, -kInf, 1},  {huge, -huge, 0},   {tiny, 0, tiny},       {tiny, 1, huge},
      {huge, huge, huge}, {1, 1 + 1e-15, 1}, {1e300, 1e-300, 1}, {-huge, -huge, -huge}, {1e-320, 2e-320, 3e-320}};
  for (const auto& y : cases) {
    for (const bool log_y : {false, true}) {
      SCOPED_TRACE(testing::PrintToString(y) + (log_y ? " log" : ""));
      expect_good_svg(to_svg(LinePlot{"", "", "", log_y, {{"", {1, 2, 3}, y, true}}}));
      expect_good_svg(to_svg(LinePlot{"", "", "", log_y, {{"", y, {1, 2, 3}, true}}}));
      expect_good_svg(to_svg(BarPlot{"", "", log_y, {"a", "b", "c"}, {{"", {}, y}}}));
    }
  }
}

TEST(LinePlot, RandomRangesKeepTheLineInsideTheFrame) {
  Rng rng(11);
  for (int round = 0; round < 500; ++round) {
    PlotSeries series;
    const double scale = std::pow(10, rng.uniform() * 40 - 20), shift = rng.normal() * scale * 10;
    for (int i = 0; i < 5; ++i) {
      series.x.push_back(i);
      series.y.push_back(std::abs(rng.normal() * scale + shift));
    }
    series.markers = true;
    const std::string svg = to_svg(LinePlot{"", "", "", round % 2 == 1, {series}}, 600, 400);
    expect_good_svg(svg);
    for (std::size_t at = svg.find("cy=\""); at != std::string::npos; at = svg.find("cy=\"", at + 1)) {
      const double y = std::stod(svg.substr(at + 4));
      ASSERT_GE(y, 39.9);
      ASSERT_LE(y, 342.1);
    }
  }
}

TEST(BarPlot, DrawsOneBarForEachValue) {
  const BarPlot plot{"t", "y", false, {"one", "two", "three"}, {{"a", {}, {1, 2, 3}}, {"b", {}, {3, -1, kNaN}}}};
  const std::string svg = to_svg(plot);
  expect_good_svg(svg);
  // The background, two boxes of the legend and five bars.
  EXPECT_EQ(occurrences(svg, "<rect"), 8u);
  EXPECT_THAT(svg, HasSubstr(">three<"));
  expect_good_svg(to_svg(BarPlot{}));
  expect_good_svg(to_svg(BarPlot{"t", "y", true, {"<&>"}, {{"s", {}, {0.001}}, {"short", {}, {}}}}));
}

}  // namespace
}  // namespace kinglet
