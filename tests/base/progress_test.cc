#include "kinglet/base/progress.h"

#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kinglet {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Progress, ShowsShareRateAndTimeLeft) {
  Progress progress("read", 200);
  progress.advance(50);
  const std::string line = progress.render(10, 80);
  EXPECT_THAT(line, StartsWith("read ["));
  EXPECT_THAT(line, HasSubstr(" 25 % 50/200 5/s ETA 30 s"));
  EXPECT_LE(line.size(), 80u);
}

TEST(Progress, TheBarFillsWithTheShare) {
  for (std::uint64_t done = 0; done <= 40; ++done) {
    Progress progress("x", 40);
    progress.advance(done);
    const std::string line = progress.render(1, 120);
    EXPECT_EQ(std::count(line.begin(), line.end(), '#'), static_cast<std::ptrdiff_t>(done));
    EXPECT_EQ(std::count(line.begin(), line.begin() + line.find(']'), '.'), 40 - static_cast<std::ptrdiff_t>(done));
  }
}

TEST(Progress, NeverWiderThanTheTerminal) {
  Progress progress("a long label of a step", 1'000'000'000, Progress::Unit::kBytes);
  progress.set_note("loss 2.345678");
  progress.advance(123'456'789);
  for (int width = 1; width < 140; ++width) {
    EXPECT_LE(progress.render(3.5, width).size(), static_cast<std::size_t>(width));
  }
  EXPECT_THAT(progress.render(3.5, 139), EndsWith("loss 2.345678"));
  EXPECT_THAT(progress.render(3.5, 139), HasSubstr("MiB/s"));
}

TEST(Progress, EdgesOfTheScale) {
  Progress empty("x", 0);
  EXPECT_THAT(empty.render(0, 80), HasSubstr("  0 % 0/0"));
  Progress over("x", 10);
  over.advance(20);  // more than announced
  EXPECT_THAT(over.render(1, 80), HasSubstr("100 % 20/10"));
  EXPECT_THAT(over.render(1, 80), Not(HasSubstr("ETA")));
  Progress start("x", 10);
  EXPECT_THAT(start.render(1, 80), Not(HasSubstr("ETA")));
}

TEST(Progress, CountsFromManyThreads) {
  Progress progress("x", 4000);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) progress.advance(1);
      });
    }
  }
  EXPECT_THAT(progress.render(1, 80), HasSubstr("4000/4000"));
}

TEST(FormatBytes, ThreeDigitsAndBinaryUnits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(312), "312 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KiB");
  EXPECT_EQ(format_bytes(1536), "1.50 KiB");
  EXPECT_EQ(format_bytes(10 * 1024), "10.0 KiB");
  EXPECT_EQ(format_bytes(100 * 1024), "100 KiB");
  EXPECT_EQ(format_bytes(1024 * 1024 - 1), "1.00 MiB");  // not 1024 KiB
  EXPECT_EQ(format_bytes(1.5 * (1 << 30)), "1.50 GiB");
  EXPECT_EQ(format_bytes(-2048), "-2.00 KiB");
  EXPECT_THAT(format_bytes(1e19), EndsWith(" PiB"));
}

TEST(FormatDuration, ForPeople) {
  EXPECT_EQ(format_duration(0), "0.0 s");
  EXPECT_EQ(format_duration(3.14), "3.1 s");
  EXPECT_EQ(format_duration(12), "12 s");
  EXPECT_EQ(format_duration(125), "2 min 05 s");
  EXPECT_EQ(format_duration(4320), "1 h 12 min");
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(1e300), "?");
}

TEST(FormatDuration, RoundingNeverShowsSixtySecondsOrTenPointNought) {
  EXPECT_EQ(format_duration(59.7), "1 min 00 s");
  EXPECT_EQ(format_duration(3599.6), "1 h 00 min");
  EXPECT_EQ(format_duration(9.96), "10 s");
}

}  // namespace
}  // namespace kinglet
