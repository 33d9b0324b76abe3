#include <concepts>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/io/zip.h"

namespace kinglet {
namespace {

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint32_t kFull32 = 0xFFFFFFFF;
constexpr std::uint16_t kUtf8Names = 0x0800;

class Record {
 public:
  template <std::unsigned_integral T>
  Record& put(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) bytes_.push_back(static_cast<std::byte>(value >> (8 * i)));
    return *this;
  }
  Record& put(std::string_view text) {
    const ByteView view = as_bytes(text);
    bytes_.insert(bytes_.end(), view.begin(), view.end());
    return *this;
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

std::uint32_t clamp32(std::uint64_t value) { return value >= kFull32 ? kFull32 : static_cast<std::uint32_t>(value); }
std::uint16_t u16(std::uint64_t value) { return static_cast<std::uint16_t>(value); }

struct Written {
  std::uint64_t local_offset;
  std::uint32_t crc;
};

// Sizes and CRC stand in the local header: the payload is at hand, so no descriptor is needed. The "FB" field pads the
// payload to a multiple of 64, which memory-mapped loading wants.
Bytes local_header(const ZipRecord& record, std::uint64_t offset, std::uint32_t crc) {
  const std::uint64_t size = record.data.size();
  Record zip64;
  if (size >= kFull32) zip64.put(std::uint16_t{1}).put(std::uint16_t{16}).put(size).put(size);
  const std::uint64_t before = offset + 30 + record.name.size() + zip64.bytes().size() + 4;
  const std::uint64_t padding = (kAlignment - before % kAlignment) % kAlignment;
  Record header;
  header.put(std::uint32_t{0x04034b50}).put(std::uint16_t{45}).put(kUtf8Names).put(std::uint16_t{0});
  header.put(std::uint32_t{0}).put(crc).put(clamp32(size)).put(clamp32(size));  // time and date 0
  header.put(u16(record.name.size())).put(u16(zip64.bytes().size() + 4 + padding)).put(record.name);
  header.put(as_text(zip64.bytes())).put("FB").put(u16(padding)).put(std::string(padding, 'Z'));
  return header.bytes();
}

Bytes central_header(const ZipRecord& record, const Written& written) {
  const std::uint64_t size = record.data.size();
  Record zip64;
  if (size >= kFull32) zip64.put(size).put(size);
  if (written.local_offset >= kFull32) zip64.put(written.local_offset);
  Record extra;
  if (!zip64.bytes().empty()) extra.put(std::uint16_t{1}).put(u16(zip64.bytes().size())).put(as_text(zip64.bytes()));
  Record header;
  header.put(std::uint32_t{0x02014b50})
      .put(std::uint16_t{45})
      .put(std::uint16_t{45})
      .put(kUtf8Names)
      .put(std::uint16_t{0});
  header.put(std::uint32_t{0}).put(written.crc).put(clamp32(size)).put(clamp32(size));
  header.put(u16(record.name.size())).put(u16(extra.bytes().size())).put(std::uint16_t{0}).put(std::uint16_t{0});
  header.put(std::uint16_t{0}).put(std::uint32_t{0}).put(clamp32(written.local_offset));
  header.put(record.name).put(as_text(extra.bytes()));
  return header.bytes();
}

Bytes end_records(std::uint64_t entries, std::uint64_t directory_offset, std::uint64_t directory_bytes) {
  Record end;
  end.put(std::uint32_t{0x06064b50}).put(std::uint64_t{44}).put(std::uint16_t{45}).put(std::uint16_t{45});
  end.put(std::uint32_t{0}).put(std::uint32_t{0}).put(entries).put(entries).put(directory_bytes).put(directory_offset);
  end.put(std::uint32_t{0x07064b50})
      .put(std::uint32_t{0})
      .put(directory_offset + directory_bytes)
      .put(std::uint32_t{1});
  const std::uint16_t entries16 = entries >= 0xFFFF ? std::uint16_t{0xFFFF} : u16(entries);
  end.put(std::uint32_t{0x06054b50}).put(std::uint16_t{0}).put(std::uint16_t{0}).put(entries16).put(entries16);
  end.put(clamp32(directory_bytes)).put(clamp32(directory_offset)).put(std::uint16_t{0});
  return end.bytes();
}

}  // namespace

void write_zip(const std::filesystem::path& path, const std::vector<ZipRecord>& records) {
  AtomicFile file(path);
  std::vector<Written> written;
  for (const ZipRecord& record : records) {
    if (record.name.empty() || record.name.size() > 0x7FFF)
      throw bad_input(path.string(), "bad record name for a zip archive");
    const std::uint32_t crc = crc32(record.data);
    written.push_back({file.size(), crc});
    file.append(local_header(record, file.size(), crc));
    file.append(record.data);
  }
  const std::uint64_t directory_offset = file.size();
  for (std::size_t i = 0; i < records.size(); ++i) file.append(central_header(records[i], written[i]));
  const std::uint64_t directory_bytes = file.size() - directory_offset;
  file.append(end_records(records.size(), directory_offset, directory_bytes));
  file.commit();
}

}  // namespace kinglet
