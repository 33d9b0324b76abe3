#include "kinglet/llm/sse.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace kinglet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> events_of(std::string_view text, std::size_t piece = std::string::npos) {
  SseParser parser(1000);
  std::vector<std::string> events;
  const auto keep = [&](std::string_view data) { events.emplace_back(data); };
  for (std::size_t at = 0; at < text.size(); at += std::min(piece, text.size()))
    parser.feed(text.substr(at, piece), keep);
  parser.finish(keep);
  return events;
}

TEST(SseParser, JoinsDataLinesAndDropsTheRest) {
  EXPECT_THAT(events_of("data: a\ndata:b\n\n: ping\n\nevent: x\nid: 4\ndata:  c\n\n"), ElementsAre("a\nb", " c"));
}

TEST(SseParser, KnowsAllLineEnds) {
  EXPECT_THAT(events_of("data: a\r\n\r\ndata: b\r\rdata: c\n\n"), ElementsAre("a", "b", "c"));
}

TEST(SseParser, PassesOverAByteOrderMarkAndUnknownFields) {
  EXPECT_THAT(events_of("\xEF\xBB\xBF"
                        "data: a\ndatabase: no\ndat: no\n\n"),
              ElementsAre("a"));
}

TEST(SseParser, TakesAnEmptyDataLineAsAnEmptyText) {
  EXPECT_THAT(events_of("data\n\n"), ElementsAre(""));
  EXPECT_THAT(events_of("event: x\n\n"), IsEmpty());
}

TEST(SseParser, CountsWholeLinesAtTheEndOfTheStream) {
  EXPECT_THAT(events_of("data: a\n\ndata: [DONE]"), ElementsAre("a", "[DONE]"));
}

TEST(SseParser, DoesNotDependOnHowBytesArrive) {
  const std::string text =
      "\xEF\xBB\xBF"
      "data: \xC3\xA4 1\r\ndata: 2\r\n\r\n:\r\rdata: 3\n\ndata:4\r\n\n";
  for (std::size_t piece = 1; piece < text.size(); ++piece) EXPECT_EQ(events_of(text, piece), events_of(text)) << piece;
}

TEST(SseParser, BoundsAnEvent) {
  EXPECT_THAT(testing_support::refusal([] { events_of("data: " + std::string(2000, 'x')); }),
              testing::HasSubstr("more than 1000 bytes"));
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += "data: xxx\n";
  EXPECT_THAT(testing_support::refusal([&] { events_of(lines); }), testing::HasSubstr("more than 1000 bytes"));
}

}  // namespace
}  // namespace kinglet
