// The subset of ZIP that PyTorch writes: stored entries, optional ZIP64, data descriptors. Compressed entries are
// refused.
//
// Sizes and CRCs are read from the central directory only (PyTorch leaves zeros in the local headers).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/base/files.h"

namespace kinglet {

struct ZipEntry {
  std::string name;
  std::uint64_t data_offset = 0;  // from the start of the parsed bytes
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
  std::vector<std::uint64_t> crc_offsets;  // where this CRC stands as u32: central directory, local header, descriptor
};

// Entries in central-directory order; checked: signatures, bounds, no overlap of payloads, no duplicate names, stored.
// Does not check the CRCs of the payloads (see check_zip_crc).
std::vector<ZipEntry> parse_zip(ByteView file, std::string_view where);
// Names, sizes and CRCs as the central directory states them, compressed entries too; nothing else is looked at.
std::vector<ZipEntry> list_zip(ByteView file, std::string_view where);
// Whether the list is that of a TorchScript archive: a program, parts of it compressed, instead of a checkpoint.
bool is_torch_script(const std::vector<ZipEntry>& entries);
void check_zip_crc(ByteView file, const ZipEntry& entry, std::string_view where);

struct ZipRecord {
  std::string name;
  ByteView data;
};

// A zip as torch.save lays it out: stored, payloads aligned to 64 bytes by an "FB" extra field, ZIP64 end records.
// Streams to an atomic file.
void write_zip(const std::filesystem::path& path, const std::vector<ZipRecord>& records);

}  // namespace kinglet
