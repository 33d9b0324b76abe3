// Reading zip archives: what is refused, and that nothing is believed.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/zip_bytes.h"

#include "kinglet/base/rng.h"
#include "kinglet/io/zip.h"

namespace kinglet {
namespace {

using ::testing::HasSubstr;
using testing_support::le;
using testing_support::make_zip;
using testing_support::refusal;
using testing_support::ZipEnd;
using testing_support::ZipPart;

std::vector<ZipEntry> entries_of(const std::string& bytes) { return parse_zip(as_bytes(bytes), "x.pt"); }
std::string refused_zip(const std::vector<ZipPart>& parts, const ZipEnd& end = {}) {
  return refusal([&] { entries_of(make_zip(parts, end)); });
}
std::string data_of(const std::string& bytes, const ZipEntry& entry) {
  return bytes.substr(entry.data_offset, entry.size);
}

const ZipPart kA = {.name = "x/a", .data = "alpha"};
const ZipPart kB = {.name = "x/b", .data = "beta and more"};

TEST(ZipRead, EntriesInDirectoryOrder) {
  for (const auto sizes : {ZipPart::Sizes::kLocal, ZipPart::Sizes::kDescriptor, ZipPart::Sizes::kBareDescriptor}) {
    ZipPart a = kA, b = kB;
    a.sizes = b.sizes = sizes;
    a.comment = "a comment";
    a.local_extra = "FB" + le(3, 2) + "ZZZ";
    const std::string bytes = make_zip({a, b, {.name = "x/empty"}}, {.comment = "PK\x05\x06 is not the end"});
    const auto entries = entries_of(bytes);
    ASSERT_EQ(entries.size(), 3U);
    EXPECT_EQ(entries[0].name, "x/a");
    EXPECT_EQ(data_of(bytes, entries[0]), "alpha");
    EXPECT_EQ(data_of(bytes, entries[1]), "beta and more");
    EXPECT_EQ(entries[2].size, 0U);
    for (const ZipEntry& entry : entries) check_zip_crc(as_bytes(bytes), entry, "x.pt");
  }
}

// Every place that holds a CRC is listed: whoever changes the payload can bring all of them up to date.
TEST(ZipRead, PlacesOfTheChecksum) {
  for (const auto sizes : {ZipPart::Sizes::kLocal, ZipPart::Sizes::kDescriptor, ZipPart::Sizes::kBareDescriptor}) {
    ZipPart a = kA;
    a.sizes = sizes;
    const std::string bytes = make_zip({a});
    const ZipEntry entry = entries_of(bytes).at(0);
    EXPECT_EQ(entry.crc, crc32(as_bytes("alpha")));
    ASSERT_EQ(entry.crc_offsets.size(), 2U);
    for (const std::uint64_t at : entry.crc_offsets) EXPECT_EQ(bytes.substr(at, 4), le(entry.crc, 4));
    EXPECT_NE(entry.crc_offsets[0], entry.crc_offsets[1]);
  }
}

TEST(ZipRead, Zip64) {
  const std::string bytes = make_zip({kA, kB}, {.zip64 = true});
  EXPECT_EQ(entries_of(bytes).size(), 2U);
  // Sizes and offset of an entry in its ZIP64 field, behind another field.
  ZipPart big = kB;
  big.size = big.packed = big.central_offset = 0xFFFFFFFF;
  const std::uint64_t offset = testing_support::zip_local(kA).size();
  big.central_extra = "FB" + le(1, 2) + "Z" + le(1, 2) + le(24, 2) + le(13, 8) + le(13, 8) + le(offset, 8);
  const std::string archive = make_zip({kA, big}, {.zip64 = true});
  EXPECT_EQ(data_of(archive, entries_of(archive).at(1)), "beta and more");
  // Only the offset: the field holds only what does not fit.
  big = kB;
  big.central_offset = 0xFFFFFFFF;
  big.central_extra = le(1, 2) + le(8, 2) + le(offset, 8);
  const std::string other = make_zip({kA, big});
  EXPECT_EQ(data_of(other, entries_of(other).at(1)), "beta and more");
}

TEST(ZipRead, BadZip64) {
  EXPECT_THAT(refused_zip({kA}, {.zip64 = true, .zip64_at = 1}), HasSubstr("ZIP64 end record"));
  EXPECT_THAT(refused_zip({kA}, {.zip64 = true, .zip64_at = 1U << 30}), HasSubstr("beyond the end"));
  EXPECT_THAT(refused_zip({kA}, {.zip64 = true, .zip64_at = ~std::uint64_t{0}}), HasSubstr("beyond the end"));
  EXPECT_THAT(refused_zip({kA}, {.zip64 = true, .entries = std::uint64_t{1} << 60}), HasSubstr("more entries"));
  EXPECT_THAT(refused_zip({kA}, {.zip64 = true, .directory_offset = ~std::uint64_t{0}}),
              HasSubstr("central directory"));
  ZipPart big = kA;
  big.size = big.packed = 0xFFFFFFFF;
  EXPECT_THAT(refused_zip({big}), HasSubstr("beyond the data"));  // no ZIP64 field: taken as it stands
  big.central_extra = le(1, 2) + le(8, 2) + le(5, 8);
  EXPECT_THAT(refused_zip({big}), HasSubstr("short ZIP64 field"));
  big.central_extra = le(1, 2) + le(16, 2) + le(~std::uint64_t{0}, 8) + le(~std::uint64_t{0}, 8);
  EXPECT_THAT(refused_zip({big}), HasSubstr("beyond the data"));
  big.central_offset = 0xFFFFFFFF;
  big.central_extra = le(1, 2) + le(24, 2) + le(5, 8) + le(5, 8) + le(~std::uint64_t{0} - 8, 8);
  EXPECT_THAT(refused_zip({big}), HasSubstr("beyond the end"));
}

TEST(ZipRead, CompressedAndEncryptedEntries) {
  ZipPart a = kA;
  a.method = 8;
  EXPECT_THAT(refused_zip({a}), HasSubstr("'x/a' is compressed"));
  a = kA;
  a.size = std::uint64_t{1} << 31;  // a bomb: small payload, large promise
  EXPECT_THAT(refused_zip({a}), HasSubstr("is compressed"));
  a = kA;
  a.flags = 1;
  EXPECT_THAT(refused_zip({a}), HasSubstr("'x/a' is encrypted"));
}

TEST(ZipRead, OverlappingAndDuplicateEntries) {
  EXPECT_THAT(refused_zip({kA, kA}), HasSubstr("two entries are called 'x/a'"));
  ZipPart again = kA;
  again.name = "x/c";
  again.local_name = "x/c";
  ZipPart bomb = again;  // a second name for the same bytes
  bomb.central_offset = 0;
  EXPECT_THAT(refused_zip({kA, bomb}), HasSubstr("differ"));  // the local name gives it away
  // Two headers that match byte for byte, the second inside the payload of the first.
  const ZipPart inner = {.name = "x/in", .data = "abc"};
  const ZipPart outer = {.name = "x/out", .data = testing_support::zip_local(inner)};
  ZipPart inside = inner;
  inside.central_offset = 30 + outer.name.size();
  EXPECT_THAT(refused_zip({outer, inside}), HasSubstr("entries overlap"));
}

TEST(ZipRead, LocalHeaders) {
  ZipPart a = kA;
  a.local_name = "x/b";
  EXPECT_THAT(refused_zip({a}), HasSubstr("differ"));
  a = kA;
  a.central_offset = 1;
  EXPECT_THAT(refused_zip({a}), HasSubstr("local header signature"));
  a.central_offset = 1U << 20;
  EXPECT_THAT(refused_zip({a}), HasSubstr("beyond the end"));
  a = kA;
  a.local_crc = 1;
  EXPECT_THAT(refused_zip({a}), HasSubstr("differ"));
  for (const auto sizes : {ZipPart::Sizes::kDescriptor, ZipPart::Sizes::kBareDescriptor}) {
    a.sizes = sizes;
    EXPECT_THAT(refused_zip({a}), HasSubstr("data descriptor"));
  }
  a = kA;
  a.size = a.packed = 1000;
  EXPECT_THAT(refused_zip({a, kB}), HasSubstr("beyond the data"));
}

TEST(ZipRead, CentralDirectory) {
  EXPECT_THAT(refused_zip({kA}, {.entries = 2}), HasSubstr("more entries"));
  EXPECT_THAT(refused_zip({kA, {.name = "x/with a long name that leaves room", .data = ""}}, {.entries = 3}),
              HasSubstr("directory"));
  EXPECT_THAT(refused_zip({kA}, {.directory_bytes = 48}), HasSubstr("longer than stated"));
  EXPECT_THAT(refused_zip({kA}, {.directory_bytes = 1000}), HasSubstr("beyond the end record"));
  EXPECT_THAT(refused_zip({kA}, {.directory_offset = 3}), HasSubstr("signature"));
  EXPECT_THAT(refused_zip({kA}, {.directory_offset = 1U << 30}), HasSubstr("beyond the end record"));
}

TEST(ZipRead, EndRecord) {
  EXPECT_THAT(refusal([] { entries_of(""); }), HasSubstr("no end record"));
  EXPECT_THAT(refusal([] { entries_of(std::string(200'000, 'P')); }), HasSubstr("no end record"));
  EXPECT_THAT(refused_zip({kA}, {.after = "x"}), HasSubstr("interrupted"));
  EXPECT_EQ(entries_of(make_zip({kA}, {.comment = std::string(65535, 'c')})).size(), 1U);
  EXPECT_TRUE(entries_of(make_zip({})).empty());
}

TEST(ZipRead, ChangedPayload) {
  ZipPart a = kA;
  a.crc = 1234;
  const std::string bytes = make_zip({a});
  const ZipEntry entry = entries_of(bytes).at(0);
  EXPECT_THAT(refusal([&] { check_zip_crc(as_bytes(bytes), entry, "x.pt"); }),
              HasSubstr("'x/a' does not match its checksum"));
}

TEST(ZipRead, TruncatedAtEveryByte) {
  for (const bool zip64 : {false, true}) {
    ZipPart b = kB;
    b.sizes = ZipPart::Sizes::kDescriptor;
    const std::string whole = make_zip({kA, b}, {.zip64 = zip64});
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_THROW(entries_of(whole.substr(0, size)), Error) << size;
    }
  }
}

// Whatever changes, entries stay inside the file and apart from each other.
TEST(ZipRead, ChangedBytesNeverGiveBadRanges) {
  ZipPart b = kB;
  b.sizes = ZipPart::Sizes::kDescriptor;
  Rng rng(11);
  int accepted = 0;
  for (const bool zip64 : {false, true}) {
    const std::string whole = make_zip({kA, b}, {.zip64 = zip64});
    for (int i = 0; i < 20'000; ++i) {
      std::string changed = whole;
      for (std::uint64_t n = 1 + rng.below(3); n > 0; --n) {
        changed[rng.below(changed.size())] = static_cast<char>(rng.below(256));
      }
      try {
        const auto entries = entries_of(changed);
        ++accepted;
        for (const ZipEntry& entry : entries) {
          ASSERT_LE(entry.data_offset, changed.size());
          ASSERT_LE(entry.size, changed.size() - entry.data_offset);
        }
      } catch (const Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::kBadInput);
      }
    }
  }
  EXPECT_GT(accepted, 0);  // changes of payloads alone
}

}  // namespace
}  // namespace kinglet
