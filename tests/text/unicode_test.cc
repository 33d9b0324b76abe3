#include "kinglet/text/unicode.h"

#include <gtest/gtest.h>

#include "kinglet/text/byte_level.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

TEST(Utf8, ReplacesTheLongestStartOfACharacterByOneMark) {
  EXPECT_EQ(utf8::replace_invalid("a\xE2\x82z\xF0\x9F\x98"), "a\ufffdz\ufffd");
  EXPECT_EQ(utf8::replace_invalid("\xC0\x80\xED\xA0\x80\xF5\xFF"), "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd");
  EXPECT_EQ(utf8::replace_invalid("caf\u00e9 \U0001f600"), "caf\u00e9 \U0001f600");
  EXPECT_FALSE(utf8::is_valid("0123456789\x80"));
  EXPECT_TRUE(utf8::first_character("\xF0\x9F").incomplete);
  EXPECT_FALSE(utf8::first_character("\xF0\x41").incomplete);
  EXPECT_EQ(utf8::count_characters("a\u00e9\U0001f600"), 3U);
}

TEST(Utf8, WritesEveryLength) {
  std::string text;
  for (const char32_t code : {U'a', U'\u00e9', U'\u3042', U'\U0001f600'}) utf8::append(text, code);
  EXPECT_EQ(text, "a\u00e9\u3042\U0001f600");
}

TEST(Normalize, GivesTheFourForms) {
  EXPECT_EQ(normalize("e\u0301\ufb01", NormalForm::kNfc), "\u00e9\ufb01");
  EXPECT_EQ(normalize("\u00e9\ufb01", NormalForm::kNfd), "e\u0301\ufb01");
  EXPECT_EQ(normalize("e\u0301\ufb01\u2460", NormalForm::kNfkc), "\u00e9fi1");
  EXPECT_EQ(normalize("\u00e9\ufb01", NormalForm::kNfkd), "e\u0301fi");
  EXPECT_EQ(normalize("a\u0301\u0323", NormalForm::kNfc), "\u1ea1\u0301");
}

TEST(Normalize, LeavesCharactersAfterUnicode9Alone) {
  EXPECT_EQ(normalize("\u32ff\ufb01", NormalForm::kNfkc), "\u32fffi");       // an era of 2019
  EXPECT_EQ(normalize("a\u0898\u0323", NormalForm::kNfc), "a\u0898\u0323");  // a mark of 2021
  EXPECT_EQ(normalize("a\u0315\u0898\u0323\u0315", NormalForm::kNfc), "a\u0315\u0898\u0323\u0315");
}

TEST(Properties, AreThoseOfTheTokenizersPackage) {
  EXPECT_TRUE(is_whitespace(0x3000) && is_whitespace(0x85) && !is_whitespace(0x200B) && !is_whitespace(0x180E));
  EXPECT_TRUE(is_punctuation('$') && is_punctuation(0x3001) && !is_punctuation('a') && !is_punctuation(0x2E52));
  EXPECT_TRUE(is_numeric(0x2167) && is_numeric(0xB2) && is_numeric(0x10D40) && !is_numeric('a'));
  EXPECT_TRUE(is_word(0x200D) && is_word('_') && is_word(0x1C89) && !is_word('-') && !is_word(0xB2));
  EXPECT_TRUE(is_combining_mark(0x301) && !is_combining_mark('a') && !is_combining_mark(0x898));
  EXPECT_EQ(lowercase("\u0130A\u03a3\u00df"), "i\u0307a\u03c3\u00df");
}

TEST(ByteLevel, MapsEveryByteToACharacterAndBack) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  const std::string text = to_byte_level(bytes);
  EXPECT_TRUE(utf8::is_valid(text));
  EXPECT_EQ(from_byte_level(text), bytes);
  EXPECT_EQ(to_byte_level(" \n"), "\u0120\u010a");
  EXPECT_EQ(from_byte_level("a b"), std::nullopt);
  EXPECT_EQ(from_byte_level("\u3042"), std::nullopt);
}

}  // namespace
}  // namespace kinglet
