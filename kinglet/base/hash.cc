#include "kinglet/base/hash.h"

#include <array>

#include <fmt/format.h>
#include <libdeflate.h>
#include <xxhash.h>
#include <zlib.h>

namespace kinglet {

std::uint64_t xxh3(ByteView bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

struct Xxh3Stream::State {
  XXH3_state_t* xxh = XXH3_createState();
  State() { XXH3_64bits_reset(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { XXH3_freeState(xxh); }
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) {}
Xxh3Stream::~Xxh3Stream() = default;
void Xxh3Stream::update(ByteView bytes) {
  if (!bytes.empty()) XXH3_64bits_update(state_->xxh, bytes.data(), bytes.size());
}
std::uint64_t Xxh3Stream::digest() const { return XXH3_64bits_digest(state_->xxh); }

std::uint32_t crc32(ByteView bytes, std::uint32_t previous) {
  if (bytes.empty()) return previous;
  return libdeflate_crc32(previous, bytes.data(), bytes.size());
}

std::uint32_t crc32_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_length) {
  return static_cast<std::uint32_t>(crc32_combine64(first, second, static_cast<z_off64_t>(second_length)));
}

std::uint32_t crc32c(ByteView bytes) {
  static constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      std::uint32_t rest = byte;
      for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ ((rest & 1) != 0 ? 0x82F63B78U : 0);
      table[byte] = rest;
    }
    return table;
  }();
  std::uint32_t crc = ~0U;
  for (const std::byte byte : bytes) crc = crc >> 8 ^ kTable[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xFF];
  return ~crc;
}

std::string hex64(std::uint64_t value) { return fmt::format("{:016x}", value); }

}  // namespace kinglet
