// Checksums: XXH3-64 for our own files, CRC-32 (ZIP's polynomial) for zip archives, CRC-32C (Castagnoli's) for
// TensorBoard.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kinglet/base/files.h"

namespace kinglet {

std::uint64_t xxh3(ByteView bytes);

class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  void update(ByteView bytes);
  std::uint64_t digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::uint32_t crc32(ByteView bytes, std::uint32_t previous = 0);
// CRC of A||B from crc(A), crc(B) and the length of B.
std::uint32_t crc32_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_length);

std::uint32_t crc32c(ByteView bytes);  // byte by byte: for short records

std::string hex64(std::uint64_t value);  // 16 lower-case digits

}  // namespace kinglet
