// A zip archive: every accepted entry lies in the file, apart from the others, and survives being written again.
#include <algorithm>
#include <cstring>
#include <set>

#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/round_trip.h"

#include "kinglet/io/zip.h"

namespace kinglet::fuzz {
namespace {

void check_entries(ByteView file, const std::vector<ZipEntry>& entries) {
  std::set<std::string> names;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const ZipEntry& entry : entries) {
    require(entry.data_offset <= file.size() && entry.size <= file.size() - entry.data_offset,
            "entries lie in the file");
    require(names.insert(entry.name).second, "names are unique");
    if (entry.size != 0) ranges.emplace_back(entry.data_offset, entry.data_offset + entry.size);
    require(entry.crc_offsets.size() >= 2, "the checksum stands in the directory and beside the data");
    for (const std::uint64_t offset : entry.crc_offsets) {
      std::uint32_t crc = 0;
      require(offset <= file.size() && file.size() - offset >= sizeof(crc), "checksums lie in the file");
      std::memcpy(&crc, file.data() + offset, sizeof(crc));
      require(crc == entry.crc, "all places of a checksum agree");
    }
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    require(ranges[i - 1].second <= ranges[i].first, "payloads do not overlap");
  }
}

void check_written(ByteView file, const std::vector<ZipEntry>& entries) {
  std::vector<ZipRecord> records;
  for (const ZipEntry& entry : entries) records.push_back({entry.name, file.subspan(entry.data_offset, entry.size)});
  if (!accepted([&] { write_zip(scratch_file(), records); })) return;  // an empty name
  const MappedFile written(scratch_file());
  const std::vector<ZipEntry> again = parse_zip(written.bytes(), "written");
  require(again.size() == records.size(), "no entry is lost");
  for (std::size_t i = 0; i < again.size(); ++i) {
    const ByteView data = written.bytes().subspan(again[i].data_offset, again[i].size);
    require(again[i].name == records[i].name && std::ranges::equal(data, records[i].data), "entries survive");
    require(again[i].data_offset % 64 == 0, "payloads are aligned");
    check_zip_crc(written.bytes(), again[i], "written");
  }
}

void check_zip(ByteView input) {
  std::vector<ZipEntry> entries;
  if (!accepted([&] { entries = parse_zip(input, "input"); })) return;
  check_entries(input, entries);
  for (const ZipEntry& entry : entries) accepted([&] { check_zip_crc(input, entry, "input"); });
  if (is_written(input)) check_written(input, entries);
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(zip, kinglet::fuzz::check_zip)
