// Zip archives byte by byte, right or wrong in every place that a reader has to check.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/little_endian.h"

#include "kinglet/base/hash.h"

namespace kinglet::testing_support {

struct ZipPart {
  std::string name;
  std::string data;
  enum class Sizes { kLocal, kDescriptor, kBareDescriptor } sizes = Sizes::kLocal;  // bare: without its signature
  std::uint16_t method = 0;
  std::uint16_t flags = 0;                      // besides "has a descriptor"
  std::string local_extra, central_extra;       // whole extra fields
  std::optional<std::string> local_name;        // when it is not `name`
  std::optional<std::uint32_t> crc;             // in all places
  std::optional<std::uint32_t> local_crc;       // in the local header or descriptor
  std::optional<std::uint64_t> packed, size;    // in the central directory
  std::optional<std::uint64_t> central_offset;  // of the local header, in the central directory
  std::string comment;
};

struct ZipEnd {
  bool zip64 = false;
  std::optional<std::uint64_t> entries, directory_bytes, directory_offset;  // false statements
  std::optional<std::uint64_t> zip64_at;                                    // in the locator
  std::string comment;
  std::string after;  // bytes behind the archive
};

inline std::string zip_local(const ZipPart& part) {
  const bool local = part.sizes == ZipPart::Sizes::kLocal;
  const std::uint32_t crc = part.local_crc.value_or(part.crc.value_or(crc32(as_bytes(part.data))));
  const std::string name = part.local_name.value_or(part.name);
  std::string bytes = le(0x04034b50, 4) + le(20, 2) + le(part.flags | (local ? 0U : 8U), 2) + le(part.method, 2);
  bytes +=
      le(0, 4) + le(local ? crc : 0, 4) + le(local ? part.data.size() : 0, 4) + le(local ? part.data.size() : 0, 4);
  bytes += le(name.size(), 2) + le(part.local_extra.size(), 2) + name + part.local_extra + part.data;
  if (local) return bytes;
  if (part.sizes == ZipPart::Sizes::kDescriptor) bytes += le(0x08074b50, 4);
  return bytes + le(crc, 4) + le(part.data.size(), 4) + le(part.data.size(), 4);
}

inline std::string zip_central(const ZipPart& part, std::uint64_t offset) {
  const bool local = part.sizes == ZipPart::Sizes::kLocal;
  std::string bytes = le(0x02014b50, 4) + le(20, 2) + le(20, 2) + le(part.flags | (local ? 0U : 8U), 2);
  bytes += le(part.method, 2) + le(0, 4) + le(part.crc.value_or(crc32(as_bytes(part.data))), 4);
  bytes += le(part.packed.value_or(part.data.size()), 4) + le(part.size.value_or(part.data.size()), 4);
  bytes += le(part.name.size(), 2) + le(part.central_extra.size(), 2) + le(part.comment.size(), 2);
  bytes += le(0, 2) + le(0, 2) + le(0, 4) + le(part.central_offset.value_or(offset), 4);
  return bytes + part.name + part.central_extra + part.comment;
}

inline std::string make_zip(const std::vector<ZipPart>& parts, const ZipEnd& end = {}) {
  std::string bytes, directory;
  for (const ZipPart& part : parts) {
    directory += zip_central(part, bytes.size());
    bytes += zip_local(part);
  }
  const std::uint64_t entries = end.entries.value_or(parts.size());
  const std::uint64_t directory_bytes = end.directory_bytes.value_or(directory.size());
  const std::uint64_t offset = end.directory_offset.value_or(bytes.size());
  bytes += directory;
  if (end.zip64) {
    const std::uint64_t at = end.zip64_at.value_or(bytes.size());
    bytes += le(0x06064b50, 4) + le(44, 8) + le(45, 2) + le(45, 2) + le(0, 8) + le(entries, 8) + le(entries, 8);
    bytes += le(directory_bytes, 8) + le(offset, 8);
    bytes += le(0x07064b50, 4) + le(0, 4) + le(at, 8) + le(1, 4);
    bytes += le(0x06054b50, 4) + le(0, 4) + le(0xFFFF, 2) + le(0xFFFF, 2) + le(0xFFFFFFFF, 4) + le(0xFFFFFFFF, 4);
  } else {
    bytes += le(0x06054b50, 4) + le(0, 4) + le(entries, 2) + le(entries, 2) + le(directory_bytes, 4) + le(offset, 4);
  }
  return bytes + le(end.comment.size(), 2) + end.comment + end.after;
}

// A file of torch.save: its pickle and its storages ("0", "1", ...).
inline std::string torch_zip(const std::string& pickle, const std::vector<std::string>& storages,
                             std::vector<ZipPart> more = {}) {
  std::vector<ZipPart> parts = {{.name = "archive/data.pkl", .data = pickle}};
  for (std::size_t i = 0; i < storages.size(); ++i) {
    parts.push_back({.name = "archive/data/" + std::to_string(i), .data = storages[i]});
  }
  for (ZipPart& part : more) parts.push_back(std::move(part));
  return make_zip(parts);
}

}  // namespace kinglet::testing_support
