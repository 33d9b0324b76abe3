// Little-endian numbers to and from bytes, for our own file formats. The reader trusts nothing.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"

namespace kinglet {

class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  template <typename T>
  void number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    out_.insert(out_.end(), bytes, bytes + sizeof(T));
  }
  void varint(std::uint64_t value) {  // LEB128
    for (; value >= 128; value >>= 7) number(static_cast<std::uint8_t>(value | 128));
    number(static_cast<std::uint8_t>(value));
  }
  void bytes(ByteView view) { out_.insert(out_.end(), view.begin(), view.end()); }
  void text(std::string_view value) {
    varint(value.size());
    bytes(as_bytes(value));
  }

 private:
  Bytes& out_;
};

// Every read is checked; a read beyond the end raises Error (bad input) that names `where`.
class ByteReader {
 public:
  ByteReader(ByteView bytes, std::string_view where) : rest_(bytes), where_(where) {}

  template <typename T>
  T number() {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = number<std::uint8_t>();
      if (shift == 63 && byte > 1) break;
      value |= std::uint64_t{byte & 127U} << shift;
      if (byte < 128) return value;
    }
    fail("a number is too long");
  }
  // A varint that must not be above `limit`.
  std::uint64_t count(std::uint64_t limit, std::string_view what) {
    const std::uint64_t value = varint();
    if (value > limit) fail(fmt::format("{} is out of range", what));
    return value;
  }
  ByteView take(std::uint64_t count) {
    if (count > rest_.size()) fail("the data ends too early");
    const ByteView result = rest_.first(count);
    rest_ = rest_.subspan(count);
    return result;
  }
  std::string text(std::uint64_t limit) { return std::string(as_text(take(count(limit, "a text length")))); }
  std::uint64_t remaining() const { return rest_.size(); }
  void expect_end() const {
    if (!rest_.empty()) fail("there is data beyond the end");
  }
  [[noreturn]] void fail(std::string_view what) const { throw bad_input(where_, what, "the file is damaged"); }

 private:
  ByteView rest_;
  std::string where_;
};

}  // namespace kinglet
