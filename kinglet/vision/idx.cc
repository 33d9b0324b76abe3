#include "kinglet/vision/idx.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <zlib.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 32;
constexpr std::uint8_t kUnsignedByte = 0x08;

std::uint32_t big_endian(ByteView bytes) {
  std::uint32_t value = 0;
  for (const std::byte byte : bytes.first(4)) value = value << 8 | std::to_integer<std::uint32_t>(byte);
  return value;
}

// Inflates a gzip file; the array's own header bounds the size, so that a small file cannot claim all memory.
Bytes read_gzip(const fs::path& path) {
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> file(gzopen(path.c_str(), "rb"), &gzclose);
  if (!file) throw failed(path.string(), "cannot open");
  Bytes bytes;
  constexpr std::size_t kChunk = 1 << 20;
  for (;;) {
    const std::size_t size = bytes.size();
    if (size > kMaxElements) throw bad_input(path.string(), "larger than 4 GiB when decompressed");
    bytes.resize(size + kChunk);
    const int got = gzread(file.get(), bytes.data() + size, kChunk);
    if (got < 0) throw bad_input(path.string(), "damaged gzip data", "fetch the file again");
    bytes.resize(size + static_cast<std::size_t>(got));
    if (static_cast<std::size_t>(got) < kChunk) break;
  }
  // gzread reports a missing trailer only through gzclose or gzerror.
  int status = Z_OK;
  gzerror(file.get(), &status);
  if (status != Z_OK && status != Z_STREAM_END) {
    throw bad_input(path.string(), "truncated gzip data", "fetch the file again");
  }
  return bytes;
}

fs::path find_part(const fs::path& folder, std::string_view name) {
  fs::path plain = folder / name;
  fs::path packed = folder / fmt::format("{}.gz", name);
  std::error_code ignored;
  if (fs::exists(plain, ignored)) return plain;
  if (fs::exists(packed, ignored)) return packed;
  throw bad_input(plain.string(), "no such file, with or without .gz",
                  "install Debian's dataset-fashion-mnist or name the folder that holds the files");
}

}  // namespace

IdxArray parse_idx(ByteView bytes, std::string_view where) {
  const auto byte = [&](std::size_t i) { return std::to_integer<std::uint8_t>(bytes[i]); };
  if (bytes.size() < 4 || byte(0) != 0 || byte(1) != 0) throw bad_input(where, "not an IDX file");
  if (byte(2) != kUnsignedByte) {
    throw bad_input(where,
                    fmt::format("IDX element type 0x{:02x} is not supported, only unsigned bytes (0x08)", byte(2)));
  }
  const std::size_t dimensions = byte(3);
  if (dimensions == 0 || bytes.size() < 4 + 4 * dimensions) throw bad_input(where, "damaged IDX header");
  IdxArray array;
  std::uint64_t elements = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    const std::uint32_t size = big_endian(bytes.subspan(4 + 4 * d));
    if (size != 0 && elements > kMaxElements / size) throw bad_input(where, "IDX sizes overflow");
    elements *= size;
    array.shape.push_back(size);
  }
  const ByteView data = bytes.subspan(4 + 4 * dimensions);
  if (data.size() != elements) {
    throw bad_input(where, fmt::format("IDX header promises {} elements, the file holds {}", elements, data.size()),
                    "fetch the file again");
  }
  array.values.resize(elements);
  std::transform(data.begin(), data.end(), array.values.begin(),
                 [](std::byte value) { return std::to_integer<std::uint8_t>(value); });
  return array;
}

IdxArray read_idx(const fs::path& path) {
  const MappedFile file(path);
  const ByteView bytes = file.bytes();
  const bool gzip = bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
  return gzip ? parse_idx(read_gzip(path), path.string()) : parse_idx(bytes, path.string());
}

ImageSet read_mnist(const fs::path& folder, std::string_view part) {
  const fs::path image_path = find_part(folder, fmt::format("{}-images-idx3-ubyte", part));
  const fs::path label_path = find_part(folder, fmt::format("{}-labels-idx1-ubyte", part));
  IdxArray images = read_idx(image_path);
  IdxArray labels = read_idx(label_path);
  if (images.shape.size() != 3) throw bad_input(image_path.string(), "images must have three dimensions");
  if (labels.shape.size() != 1 || labels.shape[0] != images.shape[0]) {
    throw bad_input(label_path.string(), fmt::format("{} labels for {} images", labels.values.size(), images.shape[0]));
  }
  return {images.shape[0], images.shape[1], images.shape[2], std::move(images.values), std::move(labels.values)};
}

}  // namespace kinglet
