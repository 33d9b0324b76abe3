#include "kinglet/text/phrase_chunker.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/rng.h"
#include "kinglet/text/word_class.h"

namespace kinglet {
namespace {

using testing::ElementsAre;

std::vector<std::string> chunked(std::string_view text) {
  std::vector<std::string> result;
  for (const Phrase& phrase : phrases(text)) {
    const char* const tag = phrase.tag == Phrase::Tag::kNoun ? "NP" : phrase.tag == Phrase::Tag::kVerb ? "VP" : "PP";
    result.push_back(std::string(tag) + " " + std::string(text.substr(phrase.begin, phrase.end - phrase.begin)));
  }
  return result;
}

std::vector<std::string> pieces(std::string_view text, const std::vector<WordPlace>& places) {
  std::vector<std::string> result;
  for (const WordPlace& place : places) result.emplace_back(text.substr(place.begin, place.end - place.begin));
  return result;
}

TEST(Phrases, OfSentences) {
  EXPECT_THAT(chunked("The very old house of my father has not been sold, and they want to see it."),
              ElementsAre("NP The very old house", "PP of my father", "VP has not been sold", "NP they", "NP want",
                          "VP to see", "NP it"));
  EXPECT_THAT(chunked("He went to the market with her but it wasn't really open"),
              ElementsAre("NP He", "NP went", "PP to the market", "PP with her", "NP it", "VP wasn't really open"));
  EXPECT_THAT(chunked("3 large boxes; in front of it"), ElementsAre("NP 3 large boxes", "PP in front", "PP of it"));
  EXPECT_THAT(chunked("It\xE2\x80\x99s a well-known rule"), ElementsAre("VP It\xE2\x80\x99s", "NP a well-known rule"));
}

TEST(Phrases, EndAtPunctuationAndLineEnds) {
  EXPECT_THAT(chunked("the big, red\nhouse (of stone)"),
              ElementsAre("NP the big", "NP red", "NP house", "PP of stone"));
  EXPECT_TRUE(phrases("").empty());
  EXPECT_TRUE(phrases(" ... and\n\t").empty());
}

TEST(Phrases, HaveAtMostEightWords) {
  const auto found = phrases("one two three four five six seven eight nine ten red green blue");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].words, 8U);
  EXPECT_EQ(found[1].words, 5U);
}

TEST(Phrases, AreInOrderForAnyBytes) {
  Rng rng(4);
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (std::uint64_t n = rng.below(60); n > 0; --n) {
      text += rng.below(3) == 0 ? std::string(" the") : std::string(1, static_cast<char>(rng.below(256)));
    }
    std::size_t end = 0;
    for (const Phrase& phrase : phrases(text)) {
      ASSERT_LE(end, phrase.begin);
      ASSERT_LT(phrase.begin, phrase.end);
      ASSERT_LE(phrase.end, text.size());
      ASSERT_LE(phrase.words, 8U);
      end = phrase.end;
    }
    for (const WordPlace& place : sentences(text)) ASSERT_LT(place.begin, place.end);
  }
}

TEST(Sentences, EndAtFullStopsThatEndSomething) {
  const std::string text = "Dr. A. Smith paid 3.50 dollars, e.g. for tea. \"Was it good?\" Yes!\nThe end";
  EXPECT_THAT(pieces(text, sentences(text)),
              ElementsAre("Dr. A. Smith paid 3.50 dollars, e.g. for tea.", "\"Was it good?\"", "Yes!", "The end"));
}

TEST(WordClasses, AreClosed) {
  EXPECT_EQ(word_class("the"), WordClass::kDeterminer);
  EXPECT_EQ(word_class("wouldn't"), WordClass::kAuxiliary);
  EXPECT_EQ(word_class("quickly"), WordClass::kAdverb);
  EXPECT_EQ(word_class("fly"), WordClass::kOpen);
  EXPECT_EQ(word_class("house"), WordClass::kOpen);
}

}  // namespace
}  // namespace kinglet
