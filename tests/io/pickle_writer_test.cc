// Writing pickles, and how they are shown to people.
#include <cmath>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/pickle_code.h"
#include "tests/support/refusal.h"

#include "kinglet/base/rng.h"
#include "kinglet/io/pickle.h"

namespace kinglet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::refusal;
namespace code = testing_support::code;

PickleDocument parse_written_pickle(ByteView bytes) { return parse_pickle(bytes, "data.pkl"); }

// Equal as Python values are equal; sharing is compared elsewhere.
void expect_same(const PickleValue* a, const PickleValue* b) {
  ASSERT_EQ(a->kind, b->kind);
  EXPECT_EQ(a->boolean, b->boolean);
  EXPECT_EQ(a->integer, b->integer);
  EXPECT_EQ(a->number, b->number);
  EXPECT_EQ(a->text, b->text);
  ASSERT_EQ(a->items.size(), b->items.size());
  for (std::size_t i = 0; i < a->items.size(); ++i) expect_same(a->items[i], b->items[i]);
  ASSERT_EQ(a->appended.size(), b->appended.size());
  for (std::size_t i = 0; i < a->appended.size(); ++i) expect_same(a->appended[i], b->appended[i]);
  ASSERT_EQ(a->state == nullptr, b->state == nullptr);
  if (a->state != nullptr) expect_same(a->state, b->state);
}

PickleValue* random_value(PickleBuilder& builder, Rng& rng, int depth) {
  const auto some = [&] {
    std::vector<PickleValue*> items(rng.below(5));
    for (PickleValue*& item : items) item = random_value(builder, rng, depth - 1);
    return items;
  };
  switch (rng.below(depth > 0 ? 11 : 5)) {
    case 0:
      return builder.none();
    case 1:
      return builder.boolean(rng.below(2) == 1);
    case 2:
      return builder.integer(static_cast<std::int64_t>(rng.next() >> rng.below(64)) * (rng.below(2) == 1 ? 1 : -1));
    case 3:
      return builder.number(rng.normal());
    case 4:
      return builder.string(std::string(rng.below(300), static_cast<char>('a' + rng.below(26))));
    case 5:
      return builder.list(some());
    case 6:
      return builder.tuple(some());
    case 7: {
      std::vector<std::pair<PickleValue*, PickleValue*>> items;
      for (PickleValue* item : some()) items.emplace_back(builder.string(std::to_string(items.size())), item);
      return builder.dict(items);
    }
    case 8:
      return builder.persistent_id(builder.tuple(some()));
    case 9:
      return builder.global("module.sub", "Name");
    default: {
      PickleValue* call = builder.call(builder.global("collections", "OrderedDict"), some());
      for (PickleValue* item : some()) {
        call->appended.push_back(builder.integer(3));
        call->appended.push_back(item);
      }
      if (rng.below(2) == 1) call->state = builder.dict();
      return call;
    }
  }
}

TEST(PickleWriter, RandomTreesSurvive) {
  Rng rng(21);
  for (int i = 0; i < 500; ++i) {
    PickleBuilder builder;
    PickleValue* root = random_value(builder, rng, 6);
    const PickleDocument document = std::move(builder).finish(root);
    const Bytes bytes = write_pickle(document);
    const PickleDocument read = parse_written_pickle(bytes);
    EXPECT_EQ(read.bytes_read, bytes.size());
    expect_same(document.root, read.root);
    EXPECT_EQ(as_text(write_pickle(read)), as_text(bytes));
  }
}

TEST(PickleWriter, IntegersOfEverySize) {
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{255}, std::int64_t{256}, std::int64_t{65535}, std::int64_t{65536},
        std::int64_t{-1}, std::int64_t{2147483647}, std::int64_t{2147483648}, std::int64_t{-2147483648},
        std::int64_t{-2147483649}, std::numeric_limits<std::int64_t>::min(),
        std::numeric_limits<std::int64_t>::max()}) {
    PickleBuilder builder;
    PickleValue* root = builder.integer(value);
    EXPECT_EQ(parse_written_pickle(write_pickle(std::move(builder).finish(root))).root->integer, value);
  }
}

// Python writes containers in batches of 1000; a batch of one has an opcode of its own.
TEST(PickleWriter, BatchesOfAThousand) {
  for (const std::size_t count : {0U, 1U, 2U, 999U, 1000U, 1001U, 2000U, 2001U, 2500U}) {
    PickleBuilder builder;
    std::vector<PickleValue*> items;
    std::vector<std::pair<PickleValue*, PickleValue*>> pairs;
    for (std::size_t i = 0; i < count; ++i) {
      items.push_back(builder.none());
      pairs.emplace_back(builder.integer(1), builder.none());
    }
    PickleValue* list = builder.list(items);
    PickleValue* dict = builder.dict(pairs);
    PickleValue* root = builder.tuple({list, dict});
    const Bytes bytes = write_pickle(std::move(builder).finish(root));
    const PickleDocument read = parse_written_pickle(bytes);
    ASSERT_EQ(read.root->items[0]->items.size(), count);
    ASSERT_EQ(read.root->items[1]->items.size(), 2 * count);
    const auto opcodes = [&](char wanted) { return std::count(as_text(bytes).begin(), as_text(bytes).end(), wanted); };
    const std::size_t tail = count % 1000;
    EXPECT_EQ(static_cast<std::size_t>(opcodes('e')), count / 1000 + (tail > 1 ? 1 : 0)) << count;
    EXPECT_EQ(static_cast<std::size_t>(opcodes('a')), tail == 1 ? 1U : 0U) << count;
  }
}

TEST(PickleWriter, SharedNodesStayShared) {
  PickleBuilder builder;
  PickleValue* shared = builder.list({builder.string("x")});
  PickleValue* pair = builder.tuple({shared});
  std::vector<PickleValue*> many;
  for (int i = 0; i < 300; ++i) many.push_back(builder.string(std::to_string(i)));  // memo keys above 255
  many.insert(many.end(), {shared, pair, shared, pair, many[299]});
  PickleValue* root = builder.list(many);
  const PickleDocument read = parse_written_pickle(write_pickle(std::move(builder).finish(root)));
  const auto& items = read.root->items;
  EXPECT_EQ(items[300], items[302]);
  EXPECT_EQ(items[301], items[303]);
  EXPECT_EQ(items[301]->items[0], items[300]);
  EXPECT_EQ(items[304], items[299]);
}

TEST(PickleWriter, RefusesWhatProtocol2CannotHold) {
  const auto written = [](const std::string& value) {
    return refusal([&] { write_pickle(parse_written_pickle(as_bytes(value + "."))); });
  };
  EXPECT_THAT(written("\x8f"), HasSubstr("protocol 2"));
  EXPECT_THAT(written("C" + testing_support::le(1, 1) + "a"), HasSubstr("protocol 2"));
  EXPECT_THAT(written("\x8a" + testing_support::le(9, 1) + std::string(9, '\1')), HasSubstr("protocol 2"));
  EXPECT_THAT(written(code::global("a", "b") + ")}\x92"), HasSubstr("keywords"));
  PickleBuilder builder;
  PickleValue* line = builder.global("a\nb", "c");
  EXPECT_THAT(refusal([&] { write_pickle(std::move(builder).finish(line)); }), HasSubstr("module name"));
}

// ---- dump ------------------------------------------------------------------------------------------------------

std::string dumped(const std::string& value, std::size_t max_items = 32) {
  return dump_pickle(parse_written_pickle(as_bytes(value + ".")), max_items);
}

TEST(PickleDump, ShowsEveryKindOfValue) {
  const std::string text = dumped(
      code::list({"N", "\x88", "\x89", code::integer(-3), code::number(0.5), code::text("a\nb"),
                  "C" + testing_support::le(2, 1) +
                      "\xff"
                      "a",
                  "\x8a" + testing_support::le(9, 1) + testing_support::le(0, 8) + "\1", "(K\x01t", "\x8f(K\x01\x90",
                  code::dict({{"key", "N"}}), code::global("os", "system"), code::storage({}), "}K\x05Ns", "})Ns"}));
  EXPECT_EQ(text,
            "list of 15 #1\n  None\n  True\n  False\n  -3\n  0.5\n  'a\\x0ab'\n  b'\\xffa'\n  18446744073709551616\n"
            "  tuple of 1 #2\n    1\n  set of 1 #3\n    1\n  dict of 1 #4\n    'key': None\n  <os.system>\n"
            "  storage #5\n    tuple of 5 #6\n      'storage'\n      <torch.FloatStorage>\n      '0'\n      'cpu'\n"
            "      4\n  dict of 1 #7\n    5: None\n  dict of 1 #8\n    (container): None\n");
}

TEST(PickleDump, CallsAreNotRun) {
  const std::string text = dumped(code::call(code::global("os", "system"), {code::text("rm")}) + "}b");
  EXPECT_THAT(text, HasSubstr("call (not run)"));
  EXPECT_THAT(text, HasSubstr("<os.system>"));
  EXPECT_THAT(text, HasSubstr("state: dict of 0"));
  EXPECT_THAT(dumped(code::call(code::global("c", "OrderedDict"), {}) + code::text("k") + "K\x07s"),
              HasSubstr("'k': 7"));
}

TEST(PickleDump, CutsLongValues) {
  std::string items;
  for (int i = 0; i < 10; ++i) items += code::integer(i);
  const std::string text = dumped("](" + items + "e", 3);
  EXPECT_THAT(text, HasSubstr("  2\n  ... 7 more\n"));
  EXPECT_THAT(text, Not(HasSubstr("  3\n")));
  EXPECT_THAT(dumped(code::text(std::string(1000, 'x'))), HasSubstr("... (1000 bytes)"));
}

TEST(PickleDump, SharedValuesOnce) {
  EXPECT_EQ(dumped("](]q\x01h\x01"
                   "e"),
            "list of 2 #1\n  list of 0 #2\n  (same object as #2)\n");
}

}  // namespace
}  // namespace kinglet
