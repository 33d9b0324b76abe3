// Pickles written opcode by opcode, for streams that no well-behaved writer makes.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/little_endian.h"

namespace kinglet::testing_support::code {

inline std::string text(std::string_view value) { return "X" + le(value.size(), 4) + std::string(value); }
inline std::string integer(std::int64_t value) {
  if (value >= 0 && value < 256) return "K" + le(static_cast<std::uint64_t>(value), 1);
  return std::string("\x8a\x08", 2) + le(static_cast<std::uint64_t>(value), 8);
}
inline std::string number(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  std::string bytes = le(bits, 8);
  return "G" + std::string(bytes.rbegin(), bytes.rend());
}
inline std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string result = "(";
  for (const std::string& item : items) result += item;
  return result + "t";
}
inline std::string list(const std::vector<std::string>& items) {
  std::string result = "](";
  for (const std::string& item : items) result += item;
  return result + "e";
}
using Pairs = std::vector<std::pair<std::string, std::string>>;
inline std::string dict(const Pairs& items) {
  std::string result = "}(";
  for (const auto& [key, value] : items) result += text(key) + value;
  return result + "u";
}
inline std::string call(const std::string& callable, const std::vector<std::string>& arguments) {
  return callable + tuple(arguments) + "R";
}
// A whole protocol-2 stream that gives `value`.
inline std::string stream(const std::string& value) { return "\x80\x02" + value + "."; }

// A tensor as torch.save writes it. `sizes` and `strides` in elements.
struct Tensor {
  std::string key = "0";
  std::string storage_class = "FloatStorage";
  std::int64_t storage_numel = 4;
  std::int64_t offset = 0;
  std::vector<std::int64_t> sizes = {4};
  std::vector<std::int64_t> strides = {1};
};
inline std::string storage(const Tensor& of) {
  return tuple({text("storage"), global("torch", of.storage_class), text(of.key), text("cpu"),
                integer(of.storage_numel)}) +
         "Q";
}
inline std::string integers(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  for (const std::int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}
inline std::string tensor(const Tensor& of) {
  return call(global("torch._utils", "_rebuild_tensor_v2"),
              {storage(of), integer(of.offset), integers(of.sizes), integers(of.strides), "\x89",
               call(global("collections", "OrderedDict"), {})});
}

}  // namespace kinglet::testing_support::code
