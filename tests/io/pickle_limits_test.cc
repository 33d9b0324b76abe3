// Hostile pickles: nothing crashes, hangs or grows beyond its limits.
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_files.h"
#include "tests/support/pickle_code.h"
#include "tests/support/refusal.h"

#include "kinglet/base/rng.h"
#include "kinglet/io/pickle.h"

namespace kinglet {
namespace {

using ::testing::HasSubstr;
using testing_support::le;
using testing_support::refusal;
namespace code = testing_support::code;

PickleDocument parse_limited(const std::string& bytes, const PickleLimits& limits = {}) {
  return parse_pickle(as_bytes(bytes), "data.pkl", limits);
}
std::string refused_limited(const std::string& bytes, const PickleLimits& limits = {}) {
  return refusal([&] { parse_limited(bytes, limits); });
}
std::string repeat(const std::string& text, std::size_t count) {
  std::string result;
  for (std::size_t i = 0; i < count; ++i) result += text;
  return result;
}

TEST(PickleLimits, StackUnderflow) {
  for (const char* bytes : {".", "a.", "]a.", "s.", "}s.", "}Ns.", "R.", "NR.", "\x85.", "N\x86.", "NN\x87.", "Q.",
                            "b.", "Nb.", "\x81.", "\x92.", "\x93.", "q\x01.", "\x94."}) {
    EXPECT_THROW(parse_limited(bytes), Error) << bytes;
  }
  // Values below a mark are out of reach.
  for (const char* bytes : {"N(\x85t.", "](Na.", "N(.", "N(q\x01.", "N(Q."}) {
    EXPECT_THAT(refused_limited(bytes), HasSubstr("not there")) << bytes;
  }
}

TEST(PickleLimits, Marks) {
  for (const char* bytes : {"t.", "]e.", "}u.", "\x8f\x90.", "\x91."}) {
    EXPECT_THAT(refused_limited(bytes), HasSubstr("a mark is missing")) << bytes;
  }
  EXPECT_THAT(refused_limited("NN."), HasSubstr("left over"));
  EXPECT_THAT(refused_limited("(N."), HasSubstr("left over"));
  EXPECT_THAT(refused_limited("N(."), HasSubstr("not there"));
}

TEST(PickleLimits, WrongKinds) {
  EXPECT_THAT(refused_limited("NNa."), HasSubstr("holds none"));
  EXPECT_THAT(refused_limited("]NNs."), HasSubstr("holds none"));
  EXPECT_THAT(refused_limited("}(Ne."), HasSubstr("holds none"));
  EXPECT_THAT(refused_limited(")(Ne."), HasSubstr("holds none"));
  EXPECT_THAT(refused_limited("](N\x90."), HasSubstr("holds none"));
  EXPECT_THAT(refused_limited("}(Nu."), HasSubstr("key without a value"));
  EXPECT_THAT(refused_limited("N)R."), HasSubstr("not a name is called"));
  EXPECT_THAT(refused_limited(code::text("eval") + ")R."), HasSubstr("not a name is called"));
  EXPECT_THAT(refused_limited(code::global("a", "b") + "NR."), HasSubstr("argument tuple"));
  EXPECT_THAT(refused_limited(code::global("a", "b") + ")N\x92."), HasSubstr("keyword dict"));
  EXPECT_THAT(refused_limited("N}b."), HasSubstr("state is set"));
  EXPECT_THAT(refused_limited("NN\x93."), HasSubstr("global without a name"));
}

TEST(PickleLimits, Memo) {
  EXPECT_THAT(refused_limited("h\x05."), HasSubstr("never stored"));
  EXPECT_THAT(refused_limited("j" + le(0xFFFFFFFF, 4) + "."), HasSubstr("never stored"));
  EXPECT_THAT(refused_limited("Nr" + le(0xFFFFFFFF, 4) + "."), HasSubstr("too many memo entries"));
  EXPECT_THAT(refused_limited("N\x94\x94\x94.", {.max_memo = 2}), HasSubstr("too many memo entries"));
  EXPECT_NO_THROW(parse_limited("N\x94\x94.", {.max_memo = 2}));
}

TEST(PickleLimits, Nodes) {
  EXPECT_NO_THROW(parse_limited("(" + repeat("N", 9) + "t.", {.max_nodes = 10}));
  EXPECT_THAT(refused_limited("(" + repeat("N", 10) + "t.", {.max_nodes = 10}), HasSubstr("too many values"));
}

TEST(PickleLimits, Lengths) {
  for (const std::string& bytes :
       std::vector<std::string>{"X" + le(0xFFFFFFFF, 4) + "abc.", "U\xff" + std::string("abc."),
                                "B" + le(0x7FFFFFFF, 4) + "abc.", "C\xffwx.", "\x8c\x7f.", "\x8a\xff.",
                                "\x8d" + le(~std::uint64_t{0}, 8) + "abc.", "\x8e" + le(1ULL << 40, 8) + "."}) {
    EXPECT_THAT(refused_limited(bytes), HasSubstr("middle of a value"));
  }
  EXPECT_THAT(refused_limited("cmodule"), HasSubstr("a name has no end"));
  EXPECT_THAT(refused_limited("cmodule\nname"), HasSubstr("a name has no end"));
}

TEST(PickleLimits, Depth) {
  const auto nested = [](std::size_t depth) { return repeat("]", depth) + repeat("a", depth - 1) + "."; };
  EXPECT_NO_THROW(parse_limited(nested(256)));
  EXPECT_THAT(refused_limited(nested(257)), HasSubstr("deeper than 256"));
  EXPECT_THAT(refused_limited(nested(3), {.max_depth = 2}), HasSubstr("deeper than 2"));
  EXPECT_THAT(refused_limited(nested(200'000)),
              HasSubstr("deeper"));  // no recursion: the call stack would not hold this
  // Through calls and their state.
  const std::string call = code::global("a", "b") + ")R";
  EXPECT_THAT(refused_limited(repeat(call, 300) + repeat("b", 299) + "."), HasSubstr("deeper"));
}

// List i of a chain holds list i - 1, and all lists also stand side by side: near the root on one way, far from it on
// another. The far one counts, whichever a walk meets first.
TEST(PickleLimits, DepthIsTheLongestWay) {
  std::string chain = "(", upward = "(", downward = "(";
  for (std::uint64_t i = 0; i < 300; ++i) {
    chain += "]" + (i > 0 ? "j" + le(i - 1, 4) + "a" : "") + "r" + le(i, 4);
    upward += "j" + le(i, 4);
    downward += "j" + le(299 - i, 4);
  }
  for (const std::string& bytes :
       {fmt::format("{}t", chain), fmt::format("}}{}t{}ts", chain, upward), fmt::format("}}{}t{}ts", chain, downward),
        fmt::format("{}t{}t\x86", chain, downward)}) {
    EXPECT_THAT(refused_limited(bytes + "."), HasSubstr("deeper than 256"));
  }
}

TEST(PickleLimits, SharingAndCyclesDoNotExplode) {
  // Each level is a pair of the level below: 2^200 paths.
  std::string bytes = "]";
  for (int i = 0; i < 200; ++i)
    bytes += "r" + le(static_cast<std::uint64_t>(i), 4) + "j" + le(static_cast<std::uint64_t>(i), 4) + "\x86";
  const PickleDocument pairs = parse_limited(bytes + ".");
  EXPECT_LT(dump_pickle(pairs).size(), 200'000U);
  EXPECT_LT(write_pickle(pairs).size(), 10'000U);
  const PickleDocument itself = parse_limited("]q" + le(0, 1) + "(h" + le(0, 1) + "}q\x01h\x01" + "h" + le(0, 1) +
                                              "sh\x01"
                                              "e.");
  EXPECT_THAT(dump_pickle(itself), HasSubstr("same object as #1"));
}

// A stack of values that no container takes, and duplicates of marks.
TEST(PickleLimits, ManyMarksAndValues) {
  EXPECT_THAT(refused_limited(repeat("(", 500'000)), HasSubstr("middle of a value"));
  EXPECT_THAT(refused_limited(repeat("(", 500'000) + "."), HasSubstr("not there"));
  EXPECT_THAT(refused_limited(repeat("N", 500'000) + "."), HasSubstr("left over"));
  EXPECT_EQ(parse_limited(repeat("(", 200) + repeat("t", 200) + ".").root->items.size(), 1U);
}

TEST(PickleLimits, TruncatedAtEveryByte) {
  const std::string whole = code::stream(code::dict(
      {{"a", code::tensor({})}, {"b", code::list({code::integer(1000), code::number(2), "\x88"})}, {"c", "N"}}));
  EXPECT_NO_THROW(parse_limited(whole));
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(parse_limited(whole.substr(0, size)), Error) << size;
}

TEST(PickleLimits, MetadataOfADistributedCheckpointTruncatedAtEveryByte) {
  const Bytes whole = read_file(testing_support::golden("checkpoints/dcp/.metadata"));
  EXPECT_NO_THROW(parse_pickle(whole, ".metadata"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(parse_pickle(ByteView(whole).first(size), ".metadata"), Error) << size;
  }
}

TEST(PickleLimits, RandomChangesAreReadOrRefused) {
  const std::string whole = code::stream(code::dict({{"a", code::tensor({})}, {"b", code::list({"N", "\x88"})}}));
  Rng rng(9);
  int accepted = 0;
  for (int i = 0; i < 10'000; ++i) {
    std::string changed = whole;
    for (std::uint64_t n = 1 + rng.below(3); n > 0; --n) {
      changed[rng.below(changed.size())] = static_cast<char>(rng.below(256));
    }
    try {
      const PickleDocument document = parse_limited(changed);
      dump_pickle(document);
      ++accepted;
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kBadInput);
    }
  }
  EXPECT_GT(accepted, 0);
}

TEST(PickleLimits, RandomOpcodes) {
  const std::string opcodes =
      "NK\x01])}(t\x85\x86q\x01h\x01"
      "aesubRQ.\x8f\x90\x91\x94";
  Rng rng(10);
  int accepted = 0;
  for (int i = 0; i < 30'000; ++i) {
    std::string bytes;
    for (std::uint64_t n = 1 + rng.below(12); n > 0; --n) bytes += opcodes[rng.below(opcodes.size())];
    try {
      dump_pickle(parse_limited(bytes + "."));
      ++accepted;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(accepted, 300);
}

}  // namespace
}  // namespace kinglet
