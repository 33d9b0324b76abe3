#include "kinglet/io/zip.h"

#include <algorithm>
#include <concepts>
#include <cstring>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"

namespace kinglet {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kDescriptor = 0x08074b50;
constexpr std::uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr std::uint64_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kLocatorBytes = 20, kEnd64Bytes = 56;
constexpr std::uint64_t kMaxComment = 65535;
constexpr std::uint16_t kEncrypted = 1, kHasDescriptor = 8;

// Little-endian reads inside a span whose bounds every call checks.
class Reader {
 public:
  Reader(ByteView bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  template <std::unsigned_integral T>
  T at(std::uint64_t offset) const {
    require(offset, sizeof(T));
    T value = 0;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  std::string_view text(std::uint64_t offset, std::uint64_t length) const {
    require(offset, length);
    return as_text(bytes_.subspan(offset, length));
  }
  void require(std::uint64_t offset, std::uint64_t length) const {
    if (offset > bytes_.size() || length > bytes_.size() - offset) throw damaged("a record reaches beyond the end");
  }
  Error damaged(std::string_view what) const {
    return bad_input(where_, fmt::format("damaged zip archive: {}", what),
                     "the file is truncated or damaged: use another checkpoint");
  }
  std::uint64_t size() const { return bytes_.size(); }
  std::string_view where() const { return where_; }

 private:
  ByteView bytes_;
  std::string_view where_;
};

struct Directory {
  std::uint64_t offset = 0, bytes = 0, entries = 0;
  std::uint64_t end = 0;  // where the end records start: nothing else may reach here
};

std::uint64_t find_end_record(const Reader& reader) {
  if (reader.size() >= kEndBytes) {
    const std::uint64_t last = reader.size() - kEndBytes;
    const std::uint64_t first = last > kMaxComment ? last - kMaxComment : 0;
    for (std::uint64_t at = last + 1; at-- > first;) {
      if (reader.at<std::uint32_t>(at) == kEnd && at + kEndBytes + reader.at<std::uint16_t>(at + 20) == reader.size())
        return at;
    }
  }
  throw bad_input(reader.where(),
                  "the zip archive has no end record; the save was interrupted or the copy is incomplete",
                  "use an earlier checkpoint or copy the file again");
}

Directory find_directory(const Reader& reader) {
  const std::uint64_t end = find_end_record(reader);
  Directory directory{reader.at<std::uint32_t>(end + 16), reader.at<std::uint32_t>(end + 12),
                      reader.at<std::uint16_t>(end + 10), end};
  if (end >= kLocatorBytes && reader.at<std::uint32_t>(end - kLocatorBytes) == kLocator64) {
    const std::uint64_t at = reader.at<std::uint64_t>(end - kLocatorBytes + 8);
    reader.require(at, kEnd64Bytes);
    if (reader.at<std::uint32_t>(at) != kEnd64 || at + kEnd64Bytes > end - kLocatorBytes) {
      throw reader.damaged("bad ZIP64 end record");
    }
    directory = {reader.at<std::uint64_t>(at + 48), reader.at<std::uint64_t>(at + 40),
                 reader.at<std::uint64_t>(at + 32), at};
  }
  if (directory.offset > directory.end || directory.bytes > directory.end - directory.offset) {
    throw reader.damaged("the central directory reaches beyond the end record");
  }
  if (directory.entries > directory.bytes / kCentralBytes)
    throw reader.damaged("more entries than the directory can hold");
  return directory;
}

struct CentralEntry {
  ZipEntry entry;
  std::uint64_t local_offset = 0;
  std::uint64_t next = 0;  // offset of the following central header
  bool encrypted = false, compressed = false;
};

// 64-bit sizes and offset from the ZIP64 extra field, for those that do not fit 32 bits, in the order of the format.
void apply_zip64(const Reader& reader, std::uint64_t extra, std::uint64_t extra_bytes, std::uint64_t& size,
                 std::uint64_t& packed, std::uint64_t& offset) {
  constexpr std::uint64_t kFull = 0xFFFFFFFF;
  if (size != kFull && packed != kFull && offset != kFull) return;
  for (std::uint64_t at = extra, end = extra + extra_bytes; at + 4 <= end;) {
    const std::uint16_t id = reader.at<std::uint16_t>(at), length = reader.at<std::uint16_t>(at + 2);
    std::uint64_t field = at + 4;
    const std::uint64_t stop = std::min<std::uint64_t>(end, field + length);
    if (id == 1) {
      for (std::uint64_t* value : {&size, &packed, &offset}) {
        if (*value != kFull) continue;
        if (field + 8 > stop) throw reader.damaged("short ZIP64 field");
        *value = reader.at<std::uint64_t>(field);
        field += 8;
      }
      return;
    }
    at = field + length;
  }
}

CentralEntry parse_central(const Reader& reader, std::uint64_t at, std::uint64_t directory_end) {
  reader.require(at, kCentralBytes);
  if (reader.at<std::uint32_t>(at) != kCentralHeader) throw reader.damaged("bad central directory signature");
  const std::uint16_t flags = reader.at<std::uint16_t>(at + 8), method = reader.at<std::uint16_t>(at + 10);
  const std::uint16_t name_bytes = reader.at<std::uint16_t>(at + 28), extra_bytes = reader.at<std::uint16_t>(at + 30);
  const std::uint16_t comment_bytes = reader.at<std::uint16_t>(at + 32);
  CentralEntry result;
  result.entry.name = reader.text(at + kCentralBytes, name_bytes);
  result.entry.crc = reader.at<std::uint32_t>(at + 16);
  result.entry.crc_offsets = {at + 16};
  result.next = at + kCentralBytes + name_bytes + extra_bytes + comment_bytes;
  if (result.next > directory_end) throw reader.damaged("the central directory is longer than stated");
  std::uint64_t packed = reader.at<std::uint32_t>(at + 20);
  result.entry.size = reader.at<std::uint32_t>(at + 24);
  result.local_offset = reader.at<std::uint32_t>(at + 42);
  apply_zip64(reader, at + kCentralBytes + name_bytes, extra_bytes, result.entry.size, packed, result.local_offset);
  result.encrypted = (flags & kEncrypted) != 0;
  result.compressed = method != 0 || packed != result.entry.size;
  return result;
}

void require_stored(const Reader& reader, const CentralEntry& central) {
  const std::string& name = central.entry.name;
  if (central.encrypted) throw bad_input(reader.where(), fmt::format("entry '{}' is encrypted", name));
  if (central.compressed) {
    throw bad_input(reader.where(), fmt::format("entry '{}' is compressed; PyTorch stores its entries", name),
                    "repack the archive without compression (zip -0)");
  }
}

std::vector<CentralEntry> parse_directory(const Reader& reader, const Directory& directory) {
  std::vector<CentralEntry> entries;
  std::uint64_t at = directory.offset;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    entries.push_back(parse_central(reader, at, directory.offset + directory.bytes));
    at = entries.back().next;
  }
  return entries;
}

// Fills data_offset and the further places of the CRC; returns where the entry's bytes end.
std::uint64_t parse_local(const Reader& reader, CentralEntry& central, std::uint64_t limit) {
  ZipEntry& entry = central.entry;
  const std::uint64_t at = central.local_offset;
  reader.require(at, kLocalBytes);
  if (reader.at<std::uint32_t>(at) != kLocalHeader) throw reader.damaged("bad local header signature");
  const std::uint16_t flags = reader.at<std::uint16_t>(at + 6);
  const std::uint16_t name_bytes = reader.at<std::uint16_t>(at + 26), extra_bytes = reader.at<std::uint16_t>(at + 28);
  if (reader.text(at + kLocalBytes, name_bytes) != entry.name || reader.at<std::uint16_t>(at + 8) != 0) {
    throw reader.damaged("local header and central directory differ");
  }
  entry.data_offset = at + kLocalBytes + name_bytes + extra_bytes;
  if (entry.data_offset > limit || entry.size > limit - entry.data_offset) {
    throw reader.damaged(fmt::format("entry '{}' reaches beyond the data", entry.name));
  }
  const std::uint64_t data_end = entry.data_offset + entry.size;
  if ((flags & kHasDescriptor) == 0) {
    if (reader.at<std::uint32_t>(at + 14) != entry.crc)
      throw reader.damaged("local header and central directory differ");
    entry.crc_offsets.push_back(at + 14);
    return data_end;
  }
  if (reader.at<std::uint32_t>(at + 14) == entry.crc && entry.crc != 0) entry.crc_offsets.push_back(at + 14);
  // The descriptor's signature is optional by the standard; PyTorch writes it.
  std::uint64_t crc_at = data_end;
  if (crc_at + 4 <= limit && reader.at<std::uint32_t>(crc_at) == kDescriptor) crc_at += 4;
  if (crc_at + 12 > limit || reader.at<std::uint32_t>(crc_at) != entry.crc) throw reader.damaged("bad data descriptor");
  entry.crc_offsets.push_back(crc_at);
  return crc_at + 12;
}

}  // namespace

std::vector<ZipEntry> parse_zip(ByteView file, std::string_view where) {
  const Reader reader(file, where);
  const Directory directory = find_directory(reader);
  std::vector<ZipEntry> entries;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  std::set<std::string> names;
  for (CentralEntry& central : parse_directory(reader, directory)) {
    require_stored(reader, central);
    const std::uint64_t end = parse_local(reader, central, directory.offset);
    ranges.emplace_back(central.local_offset, end);
    if (!names.insert(central.entry.name).second) {
      throw reader.damaged(fmt::format("two entries are called '{}'", central.entry.name));
    }
    entries.push_back(std::move(central.entry));
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) throw reader.damaged("entries overlap");
  }
  return entries;
}

std::vector<ZipEntry> list_zip(ByteView file, std::string_view where) {
  const Reader reader(file, where);
  std::vector<ZipEntry> entries;
  for (CentralEntry& central : parse_directory(reader, find_directory(reader))) {
    entries.push_back(std::move(central.entry));
  }
  return entries;
}

bool is_torch_script(const std::vector<ZipEntry>& entries) {
  return std::any_of(entries.begin(), entries.end(),
                     [](const ZipEntry& entry) { return entry.name.ends_with("/constants.pkl"); });
}

void check_zip_crc(ByteView file, const ZipEntry& entry, std::string_view where) {
  if (crc32(file.subspan(entry.data_offset, entry.size)) != entry.crc) {
    throw bad_input(where, fmt::format("entry '{}' does not match its checksum", entry.name),
                    "the file is damaged: use another checkpoint");
  }
}

}  // namespace kinglet
