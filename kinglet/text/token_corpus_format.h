// The header of a corpus file: what its writer and its reader share.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "kinglet/base/byte_io.h"
#include "kinglet/base/hash.h"

namespace kinglet::corpus_format {

inline constexpr std::string_view kMagic = "KNGLTOKC";
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::uint64_t kHeaderBytes = 192;
inline constexpr std::uint64_t kAlignment = 64;

enum SectionName { kTokens, kIndex, kMask, kSources, kSections };

struct Section {
  std::uint64_t offset = 0, bytes = 0, checksum = 0;
};

struct Header {
  std::uint32_t token_width = 2;
  std::uint64_t vocabulary_size = 0, tokenizer_fingerprint = 0, documents = 0, tokens = 0;
  std::array<Section, kSections> sections;
};

inline std::uint64_t aligned(std::uint64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

inline Bytes encode(const Header& header) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.bytes(as_bytes(kMagic));
  writer.number(kVersion);
  writer.number(header.token_width);
  for (const std::uint64_t value :
       {header.vocabulary_size, header.tokenizer_fingerprint, header.documents, header.tokens}) {
    writer.number(value);
  }
  for (const Section& section : header.sections) {
    writer.number(section.offset);
    writer.number(section.bytes);
    writer.number(section.checksum);
  }
  bytes.resize(kHeaderBytes - sizeof(std::uint64_t));
  ByteWriter(bytes).number(xxh3(bytes));
  return bytes;
}

}  // namespace kinglet::corpus_format
