// The stream format before PyTorch 1.6, made by hand.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/pickle_code.h"
#include "tests/support/refusal.h"

#include "kinglet/io/torch_file.h"

namespace kinglet {
namespace {

using ::testing::HasSubstr;
using testing_support::floats;
using testing_support::le;
using testing_support::refusal;
namespace code = testing_support::code;

const std::string kMagic = code::stream("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");

struct Legacy {
  std::string magic = kMagic;
  std::string protocol = code::stream("M" + le(1001, 2));
  std::string system = code::stream(code::dict({{"little_endian", "\x88"}}));
  std::string object = code::stream(code::tensor({}));
  std::string keys = code::stream(code::list({code::text("0")}));
  std::string storages = le(4, 8) + floats({1, 2, 3, 4});
  std::string bytes() const { return magic + protocol + system + object + keys + storages; }
};

std::string refused_legacy(const Legacy& legacy) {
  const std::string bytes = legacy.bytes();
  return refusal([&] { TorchFile::parse(as_bytes(bytes), "x.pt"); });
}

TEST(TorchLegacy, ReadsATensor) {
  const std::string bytes = Legacy{}.bytes();
  const TorchFile file = TorchFile::parse(as_bytes(bytes), "x.pt");
  EXPECT_EQ(file.format(), TorchFile::Format::kLegacy);
  EXPECT_EQ(as_text(file.contiguous_bytes(*file.tensor(file.root()))), floats({1, 2, 3, 4}));
  EXPECT_TRUE(file.storages()[0].crc_offsets.empty());
}

TEST(TorchLegacy, OtherFiles) {
  EXPECT_THAT(refused_legacy({.magic = ""}), HasSubstr("not a file of torch.save"));
  EXPECT_THAT(refused_legacy({.magic = "hello"}), HasSubstr("not a file of torch.save"));
  EXPECT_THAT(refused_legacy({.magic = code::stream("K\x05")}), HasSubstr("not a file of torch.save"));
  EXPECT_THAT(refused_legacy({.magic = code::stream("\x8a\x0a\x6d\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")}),
              HasSubstr("not a file of torch.save"));
  EXPECT_THAT(refused_legacy({.protocol = code::stream("M" + le(1000, 2))}), HasSubstr("not a file of torch.save"));
  EXPECT_THAT(refused_legacy({.keys = code::stream("N")}), HasSubstr("not a file of torch.save"));
  EXPECT_THAT(refusal([] { TorchFile::parse({}, "x.pt"); }), HasSubstr("not a file of torch.save"));
}

TEST(TorchLegacy, BigEndian) {
  EXPECT_THAT(refused_legacy({.system = code::stream(code::dict({{"little_endian", "\x89"}}))}),
              HasSubstr("big-endian"));
}

TEST(TorchLegacy, Storages) {
  EXPECT_THAT(refused_legacy({.storages = ""}), HasSubstr("interrupted"));
  EXPECT_THAT(refused_legacy({.storages = le(5, 8) + floats({1, 2, 3, 4})}), HasSubstr("interrupted"));
  EXPECT_THAT(refused_legacy({.storages = le(~std::uint64_t{0}, 8)}), HasSubstr("interrupted"));
  EXPECT_THAT(refused_legacy({.storages = le(std::uint64_t{1} << 62, 8)}), HasSubstr("interrupted"));  // * 4 overflows
  EXPECT_THAT(refused_legacy({.storages = le(3, 8) + floats({1, 2, 3})}), HasSubstr("instead of 4 elements"));
  EXPECT_THAT(refused_legacy({.keys = code::stream(code::list({code::text("1")}))}), HasSubstr("incomplete"));
  EXPECT_THAT(refused_legacy({.keys = code::stream(code::list({"K\x01"}))}), HasSubstr("incomplete"));
  EXPECT_THAT(refused_legacy({.keys = code::stream("]")}), HasSubstr("storage '0' is missing"));
  const Legacy twice{.keys = code::stream(code::list({code::text("0"), code::text("0")})),
                     .storages = le(4, 8) + floats({1, 2, 3, 4}) + le(4, 8) + floats({1, 2, 3, 4})};
  EXPECT_THAT(refused_legacy(twice), HasSubstr("incomplete"));
}

TEST(TorchLegacy, UnsafeNames) {
  const Legacy attack{.object = code::stream(code::call(code::global("os", "system"), {code::text("x")})),
                      .keys = code::stream("]"),
                      .storages = ""};
  EXPECT_THAT(refused_legacy(attack), HasSubstr("os.system"));
  const std::string bytes = attack.bytes();
  EXPECT_EQ(TorchFile::parse(as_bytes(bytes), "x.pt", false).root()->kind, PickleKind::kCall);
}

TEST(TorchLegacy, TruncatedAtEveryByte) {
  const std::string whole = Legacy{}.bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(TorchFile::parse(as_bytes(whole).first(size), "x.pt"), Error) << size;
  }
}

}  // namespace
}  // namespace kinglet
