#include "kinglet/vision/idx.h"

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;

Bytes idx(const std::vector<std::uint32_t>& shape, std::size_t values, std::uint8_t type = 0x08) {
  Bytes bytes = {std::byte{0}, std::byte{0}, std::byte{type}, static_cast<std::byte>(shape.size())};
  for (const std::uint32_t size : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::byte>(size >> shift));
  }
  for (std::size_t i = 0; i < values; ++i) bytes.push_back(static_cast<std::byte>(i * 7));
  return bytes;
}

class IdxFolder : public testing::Test {
 protected:
  void write_gzip(const std::string& name, const Bytes& bytes, std::size_t cut = 0) {
    const fs::path path = folder_ / name;
    gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    if (cut > 0) fs::resize_file(path, fs::file_size(path) - cut);
  }

  const testing_support::TemporaryFolder temporary_;
  const fs::path& folder_ = temporary_.path();
};

TEST(Idx, ReadsShapeAndValues) {
  const IdxArray array = parse_idx(idx({2, 3}, 6), "x");
  EXPECT_THAT(array.shape, testing::ElementsAre(2, 3));
  EXPECT_THAT(array.values, testing::ElementsAre(0, 7, 14, 21, 28, 35));
}

TEST(Idx, RefusesWrongLengthTypeAndHeader) {
  EXPECT_THROW(parse_idx(idx({2, 3}, 5), "x"), Error);
  EXPECT_THROW(parse_idx(idx({2, 3}, 7), "x"), Error);
  EXPECT_THROW(parse_idx(idx({2, 3}, 6, 0x0D), "x"), Error);
  EXPECT_THROW(parse_idx(idx({}, 0), "x"), Error);
  EXPECT_THROW(parse_idx(idx({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, 0), "x"), Error);
  const Bytes whole = idx({2, 3}, 6);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(parse_idx(ByteView(whole).first(size), "x"), Error) << size;
  }
}

TEST_F(IdxFolder, ReadsAMnistPairWithAndWithoutGzip) {
  write_gzip("train-images-idx3-ubyte.gz", idx({3, 2, 2}, 12));
  write_file_atomically(folder_ / "train-labels-idx1-ubyte", idx({3}, 3));
  const ImageSet set = read_mnist(folder_, "train");
  EXPECT_EQ(set.count, 3);
  EXPECT_EQ(set.height, 2);
  EXPECT_EQ(set.pixels[11], 77);
  EXPECT_THAT(set.labels, testing::ElementsAre(0, 7, 14));
}

TEST_F(IdxFolder, RefusesMissingMismatchedAndTruncatedFiles) {
  EXPECT_THROW(read_mnist(folder_, "train"), Error);
  write_gzip("train-images-idx3-ubyte.gz", idx({3, 2, 2}, 12));
  write_gzip("train-labels-idx1-ubyte.gz", idx({4}, 4));
  EXPECT_THROW(read_mnist(folder_, "train"), Error);
  write_gzip("t10k-images-idx3-ubyte.gz", idx({3, 2, 2}, 12), 6);
  write_gzip("t10k-labels-idx1-ubyte.gz", idx({3}, 3));
  EXPECT_THROW(read_mnist(folder_, "t10k"), Error);
}

}  // namespace
}  // namespace kinglet
