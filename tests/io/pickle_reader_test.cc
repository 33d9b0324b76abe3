// Reading pickles: every opcode of checkpoints, and the refusal of every other one.
#include <limits>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/pickle_code.h"
#include "tests/support/refusal.h"

#include "kinglet/io/pickle.h"

namespace kinglet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::le;
using testing_support::refusal;
namespace code = testing_support::code;

PickleDocument parse_pickle(const std::string& bytes, const PickleLimits& limits = {}) {
  return parse_pickle(as_bytes(bytes), "data.pkl", limits);
}
std::string refused_pickle(const std::string& bytes) {
  return refusal([&] { parse_pickle(bytes); });
}
std::string op(int byte) { return std::string(1, static_cast<char>(byte)); }

// The value that a stream without protocol header gives.
struct Parsed {
  explicit Parsed(const std::string& value) : document(parse_pickle(value + ".")) {}
  const PickleValue* operator->() const { return document.root; }
  PickleDocument document;
};

TEST(PickleReader, Constants) {
  EXPECT_EQ(Parsed("N")->kind, PickleKind::kNone);
  EXPECT_TRUE(Parsed("\x88")->boolean);
  EXPECT_FALSE(Parsed("\x89")->boolean);
  EXPECT_EQ(Parsed("\x89")->kind, PickleKind::kBool);
}

TEST(PickleReader, Integers) {
  EXPECT_EQ(Parsed("K\xff")->integer, 255);
  EXPECT_EQ(Parsed("M\xff\xff")->integer, 65535);
  EXPECT_EQ(Parsed("J\xff\xff\xff\xff")->integer, -1);
  EXPECT_EQ(Parsed("J\xff\xff\xff\x7f")->integer, 2147483647);
  EXPECT_EQ(Parsed("\x8a" + le(0, 1))->integer, 0);
  EXPECT_EQ(Parsed("\x8a" + le(1, 1) + "\x80")->integer, -128);
  EXPECT_EQ(Parsed("\x8a" + le(2, 1) + le(0x00FF, 2))->integer, 255);
  EXPECT_EQ(Parsed("\x8a" + le(8, 1) + le(std::uint64_t{1} << 63, 8))->integer,
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(Parsed("\x8a" + le(8, 1) + le(~std::uint64_t{0} >> 1, 8))->integer,
            std::numeric_limits<std::int64_t>::max());
}

TEST(PickleReader, BigIntegersInDecimal) {
  const Parsed magic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");
  EXPECT_EQ(magic->kind, PickleKind::kBigInt);
  EXPECT_EQ(magic->text, "119547037146038801333356");
  EXPECT_EQ(Parsed("\x8a" + le(9, 1) + le(0, 8) + le(1, 1))->text, "18446744073709551616");      // 2^64
  EXPECT_EQ(Parsed("\x8a" + le(9, 1) + le(0, 8) + le(0xFF, 1))->text, "-18446744073709551616");  // -2^64
  EXPECT_EQ(Parsed("\x8a" + le(9, 1) + le(~std::uint64_t{0}, 8) + le(0xFF, 1))->text, "-1");     // padded
  EXPECT_EQ(Parsed("\x8a" + le(9, 1) + le(0, 9))->text, "0");
  EXPECT_EQ(Parsed("\x8a" + le(255, 1) + std::string(255, '\x01'))->text.size(), 612U);
}

TEST(PickleReader, FloatsAreBigEndian) {
  EXPECT_EQ(Parsed("G\x3f\xf8" + le(0, 6))->number, 1.5);
  EXPECT_EQ(Parsed(code::number(-1e-300))->number, -1e-300);
}

TEST(PickleReader, StringsAndBytes) {
  EXPECT_EQ(Parsed(code::text("é\n"))->text, "é\n");
  EXPECT_EQ(Parsed("U" + le(3, 1) + "abc")->text, "abc");
  EXPECT_EQ(Parsed("\x8c" + le(3, 1) + "abc")->kind, PickleKind::kString);
  EXPECT_EQ(Parsed("\x8d" + le(3, 8) + "abc")->text, "abc");
  EXPECT_EQ(Parsed("C" + le(2, 1) + "\xff\xfe")->kind, PickleKind::kBytes);
  EXPECT_EQ(Parsed("B" + le(2, 4) + "\xff\xfe")->text, "\xff\xfe");
  EXPECT_EQ(Parsed("\x8e" + le(1, 8) + "\xff")->text, "\xff");
}

TEST(PickleReader, Utf8) {
  for (const char* good : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xa6", "\xed\xa0\x80" /* surrogate */,
                           "\xf4\x8f\xbf\xbf", "\xe0\xa0\x80"}) {
    EXPECT_EQ(Parsed(code::text(good))->text, good);
  }
  for (const char* bad :
       {"\xff", "\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe2\x82", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3\x28", "\xe2\x28\xa1", "\xe2\x82\x28"}) {
    EXPECT_THAT(refused_pickle(code::text(bad) + "."), HasSubstr("not UTF-8"));
  }
  EXPECT_THAT(refused_pickle(code::global("\xff", "x") + "."), HasSubstr("not UTF-8"));
}

TEST(PickleReader, Containers) {
  EXPECT_EQ(Parsed("}")->kind, PickleKind::kDict);
  EXPECT_EQ(Parsed("]")->kind, PickleKind::kList);
  EXPECT_EQ(Parsed(")")->kind, PickleKind::kTuple);
  EXPECT_EQ(Parsed("\x8f")->kind, PickleKind::kSet);
  EXPECT_EQ(Parsed("(t")->items.size(), 0U);
  for (int n = 1; n <= 3; ++n) {
    std::string items;
    for (int i = 0; i < n; ++i) items += code::integer(i);
    const Parsed tuple(items + op(0x84 + n));
    ASSERT_EQ(tuple->items.size(), static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) EXPECT_EQ(tuple->items[static_cast<std::size_t>(i)]->integer, i);
  }
  const Parsed list(
      "]K\x01"
      "a(K\x02K\x03"
      "e(e");
  ASSERT_EQ(list->items.size(), 3U);
  EXPECT_EQ(list->items[2]->integer, 3);
  const Parsed dict("}" + code::text("a") + "K\x01s(" + code::text("b") + "K\x02" + code::text("a") + "K\x03u(u");
  EXPECT_EQ(dict->items.size(), 6U);
  EXPECT_EQ(dict->find("a")->integer, 3);  // the last of equal keys, as in Python
  EXPECT_EQ(dict->find("b")->integer, 2);
  EXPECT_EQ(dict->find("c"), nullptr);
  EXPECT_EQ(list->find("a"), nullptr);
  EXPECT_EQ(Parsed("\x8f(K\x01K\x02\x90")->items.size(), 2U);
  EXPECT_EQ(Parsed("(K\x01K\x02\x91")->kind, PickleKind::kSet);
}

TEST(PickleReader, SharedValuesAreOneNode) {
  const Parsed list(
      "](]q\x05h\x05h\x05"
      "e");
  EXPECT_EQ(list->items[0], list->items[1]);
  const Parsed wide("](]r" + le(70000, 4) + "j" + le(70000, 4) + "e");
  EXPECT_EQ(wide->items[0], wide->items[1]);
  const Parsed memoized("]\x94(" + code::text("a") + "\x94" +
                        "h\x01h\x01"
                        "e");
  EXPECT_EQ(memoized->items[1], memoized->items[2]);
  EXPECT_EQ(memoized->items[0]->text, "a");
  const Parsed itself("]q" + le(0, 1) + "h" + le(0, 1) + "a");  // a list that holds itself
  EXPECT_EQ(itself->items[0], itself.document.root);
}

TEST(PickleReader, CallsStayInert) {
  const Parsed reduced(code::call(code::global("os", "system"), {code::text("true")}));
  EXPECT_EQ(reduced->kind, PickleKind::kCall);
  EXPECT_EQ(reduced->items[0]->text, "os system");
  EXPECT_EQ(reduced->items[1]->items[0]->text, "true");
  EXPECT_EQ(Parsed(code::global("m", "C") + ")\x81")->kind, PickleKind::kCall);
  const Parsed with_keywords(code::global("m", "C") + ")" + code::dict({{"k", "N"}}) + "\x92");
  ASSERT_EQ(with_keywords->items.size(), 3U);
  EXPECT_NE(with_keywords->items[2]->find("k"), nullptr);
  const Parsed stacked(code::text("mod") + code::text("name") + "\x93");
  EXPECT_EQ(stacked->kind, PickleKind::kGlobal);
  EXPECT_EQ(stacked->text, "mod name");
  const Parsed filled(code::call(code::global("collections", "OrderedDict"), {}) + code::text("a") + "K\x01s}b");
  EXPECT_EQ(filled->find("a")->integer, 1);
  EXPECT_EQ(filled->state->kind, PickleKind::kDict);
  const Parsed list_like(code::call(code::global("collections", "deque"), {}) +
                         "K\x01"
                         "a(K\x02"
                         "e");
  EXPECT_EQ(list_like->appended.size(), 2U);
  const Parsed persistent(code::storage({}));
  EXPECT_EQ(persistent->kind, PickleKind::kPersistentId);
  EXPECT_EQ(persistent->items[0]->items[2]->text, "0");
  const Parsed curried(code::call(code::call(code::global("functools", "partial"), {}), {}));  // the result of a call
  EXPECT_EQ(curried->items[0]->kind, PickleKind::kCall);
}

TEST(PickleReader, GlobalsOfADocument) {
  const Parsed value(code::list({code::global("b", "B"), code::global("a", "A"), code::global("b", "B")}));
  EXPECT_THAT(pickle_globals(value.document), ElementsAre("a A", "b B"));
}

TEST(PickleReader, ProtocolsFramesAndLength) {
  for (const char* header : {"\x80\x02", "\x80\x05"})
    EXPECT_EQ(parse_pickle(header + std::string("N.")).root->kind, PickleKind::kNone);
  EXPECT_THAT(refused_pickle(std::string("\x80\x06N.")), HasSubstr("unknown protocol"));
  const std::string framed = "\x80\x04\x95" + le(2, 8) + "N.";
  EXPECT_EQ(parse_pickle(framed).root->kind, PickleKind::kNone);
  EXPECT_THAT(refused_pickle("\x80\x04\x95" + le(3, 8) + "N."), HasSubstr("longer than the file"));
  EXPECT_THAT(refused_pickle("\x95" + le(~std::uint64_t{0}, 8) + "N."), HasSubstr("longer than the file"));
  const PickleDocument document = parse_pickle("\x80\x02N.more");
  EXPECT_EQ(document.bytes_read, 4U);
}

// Everything that is not needed to read a checkpoint is refused, above all what imports (INST), builds (OBJ), reads
// registries (EXT) and juggles the stack (POP, DUP).
TEST(PickleReader, OtherOpcodesAreRefusedByNumberAndPlace) {
  const std::string allowed =
      "\x80.N\x88\x89KMJ\x8aGXU}])(t\x85\x86\x87qrhjcQR\x81"
      "bsuae\x95\x8c\x8d"
      "BC\x8e\x94\x93\x8f\x90\x91\x92";
  const std::set<char> known(allowed.begin(), allowed.end());
  EXPECT_EQ(known.size(), 45U);
  for (int byte = 0; byte < 256; ++byte) {
    if (known.contains(static_cast<char>(byte))) continue;
    EXPECT_THAT(refused_pickle("N" + op(byte) + "0000\n0000\n."),
                HasSubstr(fmt::format("byte 1: opcode 0x{:02x}", byte)));
  }
  for (const char byte : {'i', 'o', 'P', '0', '1',    '2',    'I',    'L',    'S',    'V',    'F',   'd',
                          'l', 'p', 'g', 'T', '\x82', '\x83', '\x84', '\x8b', '\x96', '\x97', '\x98'}) {
    EXPECT_FALSE(known.contains(byte));
  }
}

}  // namespace
}  // namespace kinglet
