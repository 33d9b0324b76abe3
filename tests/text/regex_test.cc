#include "kinglet/text/regex.h"

#include <gtest/gtest.h>

#include "tests/support/refusal.h"

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

using testing_support::refusal;

std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  std::vector<TextRange> ranges;
  Regex(pattern, "test").find_all(text, ranges);
  std::vector<std::string> result;
  for (const TextRange& range : ranges) result.push_back(text.substr(range.begin, range.end - range.begin));
  return result;
}
using Texts = std::vector<std::string>;

// What Oniguruma answers was found with the `tokenizers` package.

TEST(Regex, FindsSuccessiveMatches) {
  EXPECT_EQ(matches("a+", "aab a"), (Texts{"aa", "a"}));
  EXPECT_EQ(matches("x*", "axxb"), (Texts{"", "xx", ""}));  // none directly after "xx"
  EXPECT_EQ(matches("", "\u00e9a"), (Texts{"", "", ""}));
  EXPECT_EQ(matches("a", ""), Texts{});
}

TEST(Regex, TakesSpacesFromUnicodeWithoutTheVowelSeparator) {
  EXPECT_EQ(matches(R"(\s)", "\u3000\u0085\u180e\u200b\u2028\x1c"), (Texts{"\u3000", "\u0085", "\u2028"}));
  EXPECT_EQ(matches(R"([^\S\n]+)", "a \n b"), (Texts{" ", " "}));
  EXPECT_EQ(matches(R"(\S+)", "a\u180e b"), (Texts{"a\u180e", "b"}));
}

TEST(Regex, TakesWordsWithMarks) {
  EXPECT_EQ(matches(R"(\w+)", "cafe\u0301-\u0939\u093f_1 \u00b2"), (Texts{"cafe\u0301", "\u0939\u093f_1", "\u00b2"}));
  EXPECT_EQ(matches(R"([^\W_]+)", "a_b"), (Texts{"a", "b"}));
  EXPECT_EQ(matches(R"(\bfoo\b)", "foo foo\u0301 foo"), (Texts{"foo", "foo"}));
  EXPECT_EQ(matches(R"(\h+)", "xfaceg"), Texts{"face"});
  EXPECT_EQ(matches("[[:alpha:][:digit:]]+", "a1-\u00e9"), (Texts{"a1", "\u00e9"}));
}

TEST(Regex, ReadsQuantifiersAsRuby) {
  EXPECT_EQ(matches(R"(\p{N}{1,3}+)", "1234567"), Texts{"1234567"});  // repeated, not possessive
  EXPECT_EQ(matches("a{2}?", "aaaaa"), (Texts{"aa", "aa", ""}));      // optional, not lazy; then empty at the last
  EXPECT_EQ(matches("a{,2}", "aaa"), (Texts{"aa", "a"}));
  EXPECT_EQ(matches("a{x", "a{x"), Texts{"a{x"});
  EXPECT_EQ(matches("a++b", "aab"), Texts{"aab"});
  EXPECT_EQ(matches("a++a", "aaa"), Texts{});
  EXPECT_EQ(matches("(?:ab){2,3}+", "ababababab"), Texts{"ababababab"});
}

TEST(Regex, ReadsClassesAsRuby) {
  EXPECT_EQ(matches("[a[bc]]+", "xabc["), Texts{"abc"});
  EXPECT_EQ(matches("[]a]+", "]a"), Texts{"]a"});
  EXPECT_EQ(matches(R"([\w-]+)", "a-b"), Texts{"a-b"});
  EXPECT_EQ(matches(R"([+--]+)", "+,-."), Texts{"+,-"});
}

TEST(Regex, KnowsCasesLinesAndProperties) {
  EXPECT_EQ(matches("(?i:'s|'t)", "'S 't '\u017f"), (Texts{"'S", "'t", "'\u017f"}));
  EXPECT_EQ(matches("^a|b$", "a\na b\nb"), (Texts{"a", "a", "b", "b"}));
  EXPECT_EQ(matches("(?m:a.b)|a.b", "a\nb"), Texts{"a\nb"});
  EXPECT_EQ(matches("a.b", "a\nb"), Texts{});
  EXPECT_EQ(matches(R"(\p{Han}+)", "\u6f22\u3001\u5b57"), (Texts{"\u6f22", "\u5b57"}));
  EXPECT_EQ(matches(R"(\p{Letter}+|\p{^L}+)", "ab1"), (Texts{"ab", "1"}));
  EXPECT_EQ(matches(R"(\P{L}+)", "a12b"), Texts{"12"});
  EXPECT_EQ(matches(R"(\x41\u0042\x{43}\t)", "ABC\t"), Texts{"ABC\t"});
  EXPECT_EQ(matches(R"((a)\1(?<!b)(?=c)(?#comment))", "aac"), Texts{"aa"});
}

TEST(Regex, KnowsTheCharactersOfUnicode16) {
  EXPECT_EQ(matches(R"(\p{L}+)", "a\u1c8a\U000323af1"), Texts{"a\u1c8a\U000323af"});
  EXPECT_EQ(matches(R"([^\s\p{L}\p{N}]+)", "\U00010d40\U0001fae9"), Texts{"\U0001fae9"});
  EXPECT_EQ(matches(R"(\p{Han}+)", "\U00031350"), Texts{"\U00031350"});
}

TEST(Regex, RefusesWhatItCannotRead) {
  for (const char* pattern : {"(",
                              ")",
                              "[",
                              "[a",
                              "*",
                              "a{2",
                              "(?<n",
                              "(?x:a)",
                              R"(\)",
                              R"([\)",
                              R"(\p{Nonsense})",
                              R"(\p{L)",
                              R"(\x{110000})",
                              R"(\xE9)",
                              "(?<=a+)b",
                              "[a&&b]",
                              R"(\k<n>)",
                              "(?#",
                              "[b-a]",
                              "a{99999}",
                              "\xFF"}) {
    if (std::string(pattern) == "a{2") continue;  // a literal brace
    EXPECT_NE(refusal([&] { Regex(pattern, "somewhere"); }).find("somewhere"), std::string::npos) << pattern;
  }
  refusal([] { Regex(std::string(20000, 'a'), "w"); });
  refusal([] { Regex(std::string(1000, '('), "w"); });
  refusal([] { Regex(std::string(1000, '['), "w"); });
}

TEST(Regex, GivesUpOnEndlessBacktracking) {
  std::vector<TextRange> ranges;
  const Regex regex("(?:a|a)*b|(a+)+$", "here");
  const std::string message = refusal([&] { regex.find_all(std::string(60, 'a') + "c", ranges); });
  EXPECT_NE(message.find("here"), std::string::npos);
}

TEST(Regex, RunsOverLongTexts) {
  const Regex regex(R"( ?\p{L}+|\s+(?!\S)|\s+)", "test");
  std::vector<TextRange> ranges;
  regex.find_all(std::string(1 << 20, ' '), ranges);
  EXPECT_EQ(ranges.size(), 1U);
  regex.find_all(std::string(1 << 20, 'a'), ranges);
  EXPECT_EQ(ranges.size(), 1U);
}

}  // namespace
}  // namespace kinglet
