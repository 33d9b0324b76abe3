#include "kinglet/text/stop_strings.h"

#include <gtest/gtest.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

// What is shown of `text` in pieces of `size` bytes, whether a stop text was found or the stream ended.
std::string shown(const std::vector<std::string>& stops, std::string_view text, std::size_t size) {
  StopStrings stop(stops);
  std::string all;
  for (std::size_t at = 0; at < text.size(); at += size) all += stop.push(text.substr(at, size));
  return all + stop.finish();
}

TEST(StopStrings, AreFoundAcrossPieces) {
  for (std::size_t size = 1; size < 12; ++size) {
    EXPECT_EQ(shown({"END"}, "some ENENDED text", size), "some EN") << size;
    EXPECT_EQ(shown({"\n\n", "User:"}, "one\ntwo\nUser: three\n\n", size), "one\ntwo\n") << size;
    EXPECT_EQ(shown({"abab"}, "aabaababx", size), "aaba") << size;
    EXPECT_EQ(shown({"abcabd"}, "abcabcabd", size), "abc") << size;
  }
}

TEST(StopStrings, NothingIsLostWithout) {
  for (std::size_t size = 1; size < 12; ++size) {
    EXPECT_EQ(shown({"END", "ever"}, "it never ENDs? EN", size), "it n") << size;
    EXPECT_EQ(shown({"ENDE", "EN!"}, "no END, EN", size), "no END, EN") << size;
    EXPECT_EQ(shown({}, "plain", size), "plain") << size;
  }
}

TEST(StopStrings, TheFirstInTheTextCounts) {
  EXPECT_EQ(shown({"c", "b"}, "abc", 3), "a");
  EXPECT_EQ(shown({"bcd", "c"}, "abcd", 4), "a");
}

TEST(StopStrings, ShowAtOnceWhatIsCertain) {
  StopStrings stop({"###"});
  EXPECT_EQ(stop.push("abc"), "abc");
  EXPECT_EQ(stop.push("d##"), "d");
  EXPECT_EQ(stop.push("e"), "##e");
  EXPECT_EQ(stop.push("f###g"), "f");
  EXPECT_TRUE(stop.found());
  EXPECT_EQ(stop.push("more"), "");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopStrings, RefuseTheEmptyText) { EXPECT_THROW(StopStrings({"a", ""}), Error); }

}  // namespace
}  // namespace kinglet
