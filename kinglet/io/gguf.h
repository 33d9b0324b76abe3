// GGUF, the model files of llama.cpp: metadata and tensors, read through a memory map without copies.
//
// Layout: "GGUF" | u32 version | u64 tensor count | u64 metadata count | metadata | tensor infos | padding | data.
// Versions 2 and 3, little-endian. Everything that the file says is checked against its size before it is used; arrays
// of arrays, names that occur twice and tensors that overlap are refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/io/gguf_type.h"

namespace kinglet {

// The values are those of the format.
enum class GgufValueType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kText = 8,
  kArray = 9,  // only inside the file: GgufValue says is_array
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// One metadata entry; its content stays in the file, coded, and has been checked.
struct GgufValue {
  std::string key;
  GgufValueType type = GgufValueType::kU8;  // of the value, or of the elements of an array
  bool is_array = false;
  std::uint64_t count = 1;  // elements
  ByteView bytes;           // the elements as the file codes them
};

struct GgufTensor {
  std::string name;
  GgufType type = GgufType::kF32;
  // As PyTorch would say it, row-major: the file's dimensions in reverse. A weight is [output, input].
  std::vector<std::int64_t> shape;
  ByteView data;  // of exactly the size that type and shape ask for; may be unaligned

  std::int64_t numel() const;       // 1 for a tensor without dimensions
  std::int64_t row_length() const;  // the last size, the one that is cut into blocks; 1 without dimensions
};

// The content of a file; all views point into the bytes given to parse().
//
// Getters raise Error (bad input), naming the file and the key, when the value is of another type; those without
// `optional` also when the key is missing. A whole number counts as a number, a truth value does not.
class Gguf {
 public:
  // `where` names the file in errors. Raises Error (bad input).
  static Gguf parse(ByteView file, std::string_view where);

  std::uint32_t version() const { return version_; }
  std::uint32_t alignment() const { return alignment_; }
  const std::string& where() const { return where_; }
  const std::vector<GgufValue>& metadata() const { return metadata_; }  // in the file's order
  const std::vector<GgufTensor>& tensors() const { return tensors_; }   // in the file's order

  const GgufValue* find(std::string_view key) const;           // null when missing
  const GgufTensor* find_tensor(std::string_view name) const;  // null when missing
  const GgufTensor& tensor(std::string_view name) const;       // raises Error (bad input) when missing
  bool has(std::string_view key) const { return find(key) != nullptr; }

  std::string_view text(std::string_view key) const;  // bytes as they stand; usually UTF-8
  std::int64_t integer(std::string_view key) const;   // of any whole-number type; refused beyond 2^63 - 1
  double number(std::string_view key) const;
  bool boolean(std::string_view key) const;
  std::vector<std::string_view> texts(std::string_view key) const;
  std::vector<std::int64_t> integers(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;
  std::vector<bool> booleans(std::string_view key) const;

  // A value for people: "64", "gemma", "262144 x text: <pad>, <eos>, ...", lists with their first `most` elements.
  std::string show(const GgufValue& value, std::uint64_t most) const;

  std::optional<std::string_view> optional_text(std::string_view key) const;
  std::optional<std::int64_t> optional_integer(std::string_view key) const;
  std::optional<double> optional_number(std::string_view key) const;
  std::optional<bool> optional_boolean(std::string_view key) const;
  std::optional<std::vector<std::string_view>> optional_texts(std::string_view key) const;
  std::optional<std::vector<std::int64_t>> optional_integers(std::string_view key) const;
  std::optional<std::vector<double>> optional_numbers(std::string_view key) const;

 private:
  friend class GgufParser;

  const GgufValue& need(std::string_view key) const;

  std::string where_;
  std::uint32_t version_ = 0;
  std::uint32_t alignment_ = 32;
  std::vector<GgufValue> metadata_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, std::size_t> value_by_key_;
  std::unordered_map<std::string, std::size_t> tensor_by_name_;
};

// "text", "whole number", "list of text": for messages and tables.
std::string describe(const GgufValue& value);

// A file on disk. Views of content() live as long as this object.
class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);

  const Gguf& content() const { return content_; }
  const MappedFile& file() const { return file_; }

 private:
  MappedFile file_;
  Gguf content_;
};

}  // namespace kinglet
