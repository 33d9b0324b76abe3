#include "kinglet/base/error.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Error, ComposesWhereWhatAndRemedy) {
  EXPECT_STREQ(bad_input("model.pt", "is cut off", "copy it again").what(), "model.pt: is cut off (copy it again)");
  EXPECT_STREQ(bad_input("", "is cut off").what(), "is cut off");
  EXPECT_STREQ(failed("disk", "is full").what(), "disk: is full");
}

TEST(Error, ExitCodes) {
  EXPECT_EQ(failed("", "x").exit_code(), 1);
  EXPECT_EQ(bad_input("", "x").exit_code(), 2);
  EXPECT_EQ(Error(ErrorKind::kInterrupted, "", "x").exit_code(), 130);
  EXPECT_EQ(bad_input("", "x").kind(), ErrorKind::kBadInput);
}

TEST(Error, HostileTextStaysOneLine) {
  const Error error = bad_input("a\nb", "c\r\n\x1b[31md", "e\tf");
  EXPECT_STREQ(error.what(), "a\\x0ab: c\\x0d\\x0a\\x1b[31md (e\\x09f)");
}

TEST(Error, SystemErrorsNameTheReasonAndTheKind) {
  EXPECT_THAT(system_error("f", "cannot write", ENOSPC).what(), HasSubstr("free some disk space"));
  EXPECT_EQ(system_error("f", "cannot write", ENOSPC).kind(), ErrorKind::kFailed);
  EXPECT_EQ(system_error("f", "cannot open", ENOENT).kind(), ErrorKind::kBadInput);
  EXPECT_EQ(system_error("f", "cannot open", EACCES).kind(), ErrorKind::kFailed);
  EXPECT_THAT(system_error("f", "cannot open", EIO).what(), Not(HasSubstr("(")));
}

TEST(Printable, KeepsValidTextAsItIs) {
  for (const std::string_view text : {"plain", "caf\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x90\xA6", "\xED\x9F\xBF", ""}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, EscapesControlCharactersAndLineSeparators) {
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("\xC2\x85"), "\\xc2\\x85");           // C1: next line
  EXPECT_EQ(printable("\xE2\x80\xA8"), "\\xe2\\x80\\xa8");  // line separator
  EXPECT_EQ(printable("\xE2\x80\xA9"), "\\xe2\\x80\\xa9");  // paragraph separator
  EXPECT_EQ(printable("\xC2\xA0"), "\xC2\xA0");             // the first character after C1
}

TEST(Printable, EscapesWhatIsNoCharacter) {
  EXPECT_EQ(printable("\xEF\xBF\xBE"), "\\xef\\xbf\\xbe");
  EXPECT_EQ(printable("\xEF\xBF\xBF"), "\\xef\\xbf\\xbf");
  EXPECT_EQ(printable("\xEF\xBF\xBD"), "\xEF\xBF\xBD");
}

TEST(Printable, EscapesInvalidUtf8) {
  EXPECT_EQ(printable("\x80"), "\\x80");                             // lone continuation
  EXPECT_EQ(printable("\xC0\xAF"), "\\xc0\\xaf");                    // overlong
  EXPECT_EQ(printable("\xE0\x9F\xBF"), "\\xe0\\x9f\\xbf");           // overlong
  EXPECT_EQ(printable("\xED\xA0\x80"), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(printable("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  EXPECT_EQ(printable("\xF0\x8F\xBF\xBF"), "\\xf0\\x8f\\xbf\\xbf");  // overlong
  EXPECT_EQ(printable("a\xE2\x82"), "a\\xe2\\x82");                  // cut off
  EXPECT_EQ(printable("\xFFz"), "\\xffz");
}

TEST(Printable, EveryByteAndEveryPairStaysOneLine) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const char bytes[2] = {static_cast<char>(first), static_cast<char>(second)};
      const std::string shown = printable({bytes, 2});
      for (const char c : shown) {
        ASSERT_GE(static_cast<unsigned char>(c), 0x20) << first << " " << second;
        ASSERT_NE(c, 0x7f);
      }
      ASSERT_EQ(printable(shown), shown) << first << " " << second;  // nothing left to escape
    }
  }
}

}  // namespace
}  // namespace kinglet
