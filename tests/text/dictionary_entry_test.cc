// Articles of the two dictionaries as clean text.
#include "kinglet/text/dictionary_entry.h"

#include <set>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/text/dictionary_text.h"

namespace kinglet {
namespace {

std::string gcide(std::string_view article) {
  const auto entry = parse_gcide(article);
  return entry ? entry_text(*entry) : "nothing";
}
std::string wordnet(std::string_view article) {
  const auto entry = parse_wordnet(article);
  return entry ? entry_text(*entry) : "nothing";
}

TEST(Gcide, HeadInflectionEtymologyAndSourceAreLeftOut) {
  EXPECT_EQ(gcide("Pen \\Pen\\, v. t. [imp. & p. p. {Penned}or {Pent} (?); p. pr. &\n"
                  "   vb. n. {Penning}.] [OE. pennen, AS. pennan in on-pennan to\n"
                  "   unfasten, prob. from the same source as pin.See {Pin}, n. & v.]\n"
                  "   To shut up, as in a pen or cage; to confine in a small\n"
                  "   inclosure.\n"
                  "   [1913 Webster]\n\n"
                  "         Watching where shepherds pen their flocks at eve.\n"
                  "                                                  --Milton.\n"
                  "   [1913 Webster]\n"),
            "Pen (transitive verb): To shut up, as in a pen or cage; to confine in a small inclosure.\n"
            "\"Watching where shepherds pen their flocks at eve.\" — Milton.");
}

TEST(Gcide, SensesKeepTheirNumbers) {
  EXPECT_EQ(gcide("Run \\Run\\ (r[u^]n), n.\n"
                  "   1. The act of running; as, a long run.\n"
                  "      [1913 Webster]\n\n"
                  "   2. A range or extent of ground for feeding stock; as, a sheep\n"
                  "      run. --Howitt.\n"
                  "      [1913 Webster]\n\n"
                  "   9. (Naut.)\n"
                  "      (a) The aftermost part of a vessel's hull. [Obs.]\n"
                  "      (b) A voyage; as, a run to China.\n"
                  "          [1913 Webster]\n\n"
                  "   {Run steel}, malleable iron castings. See under {Mal*le\"a*ble}.\n"),
            "Run (noun)\n1. The act of running; as, a long run.\n"
            "2. A range or extent of ground for feeding stock; as, a sheep run.\n"
            "9. (Nautical).\n9 (a) The aftermost part of a vessel's hull.\n9 (b) A voyage; as, a run to China.\n"
            "Run steel: malleable iron castings. See under Malleable.");
}

TEST(Gcide, FieldsSpellingsAndSpecialCharacters) {
  EXPECT_EQ(gcide("Orchitis \\Or*chi\"tis\\, n. [NL., fr. Gr. ? a testicle + -itis.]\n   (Med.)\n   Inflammation.\n"),
            "Orchitis (noun): (Medicine) Inflammation.");
  EXPECT_EQ(gcide("Meter \\Me\"ter\\, Metre \\Me\"tre\\, n.\n   A caf['e] rule {Actinid[ae]} at 5[deg].\n"),
            "Meter (noun): A café rule Actinidæ at 5°.");
  EXPECT_EQ(gcide("Unworthy \\Un*wor\"thy\\, a.\n   Not worthy; -- often with of. -- {Un*wor\"thi*ly},\n   adv. -- "
                  "{Un*wor\"thi*ness}, n.\n"),
            "Unworthy (adjective): Not worthy; — often with of.");
}

TEST(Gcide, WhatSaysNothingIsLeftOut) {
  EXPECT_EQ(gcide("Undivine \\Un`di*vine\"\\, a. See {divine}.\n"), "nothing");
  EXPECT_EQ(gcide("no pronunciation here"), "nothing");
  EXPECT_EQ(gcide("A \\B"), "nothing");
  EXPECT_EQ(gcide(""), "nothing");
  EXPECT_EQ(gcide("A \\B\\"), "nothing");
  EXPECT_EQ(gcide("A \\B\\, n. [[[[((({{{"), "nothing");
}

TEST(WordNet, SensesExamplesAndSynonyms) {
  EXPECT_EQ(wordnet("covenant\n"
                    "    n 1: a signed written agreement between two or more parties\n"
                    "         (nations) to perform some action [syn: {covenant},\n"
                    "         {compact}, {concordat}]\n"
                    "    2: (Bible) an agreement between God and his people\n"
                    "    v 1: enter into a covenant; \"They covenanted\n"
                    "       with Judas\"; \"The `nations' covenanted\" [ant: {break}]\n"),
            "covenant (noun)\n"
            "1. A signed written agreement between two or more parties (nations) to perform some action. "
            "Synonyms: compact, concordat.\n"
            "2. (Bible) An agreement between God and his people.\n"
            "covenant (verb): Enter into a covenant. Examples: \"They covenanted with Judas\"; \"The 'nations' "
            "covenanted\". Opposite: break.");
  EXPECT_EQ(wordnet("word\n"), "nothing");
  EXPECT_EQ(wordnet(""), "nothing");
}

TEST(DictionaryQuestion, AsksForTheHeadwordAndAnswersWithItsFirstSenses) {
  const auto entry =
      parse_wordnet("run\n    n 1: a score\n    2: a test\n    3: a race\n    4: a series\n    v 1: move fast\n");
  const QuestionAndAnswer pair = entry_question(*entry);
  EXPECT_THAT(pair.question, testing::HasSubstr("\"run\""));
  EXPECT_THAT(pair.question, testing::HasSubstr("noun"));
  EXPECT_EQ(pair.answer, "1. A score.\n2. A test.\n3. A race.");
  EXPECT_EQ(entry_question(*entry).question, pair.question);
}

TEST(DictionaryQuestion, HasTheRightArticle) {
  std::set<std::string> questions;
  for (const char letter : std::string("bcdfghjklm")) {  // one of four wordings for each headword
    for (const char* kind : {"n", "adj", "adv"}) {
      const auto entry = parse_wordnet(fmt::format("{}at\n    {} 1: something\n", letter, kind));
      questions.insert(entry_question(*entry).question);
    }
  }
  std::string all;
  for (const std::string& question : questions) all += question + "\n";
  EXPECT_THAT(all, testing::HasSubstr(" as a noun?"));
  EXPECT_THAT(all, testing::HasSubstr(" as an adjective?"));
  EXPECT_THAT(all, testing::HasSubstr(" as an adverb?"));
}

TEST(DictionaryText, BrokenBytesBecomeText) {
  EXPECT_EQ(valid_text("it\x92s \x93so\x94 \xFF!"), "it's \"so\"  !");
  EXPECT_EQ(tidy_spaces("  a \n b , c "), "a b, c");
}

}  // namespace
}  // namespace kinglet
