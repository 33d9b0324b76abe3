#include "kinglet/io/gguf.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "kinglet/base/byte_io.h"
#include "kinglet/base/error.h"

namespace kinglet {
namespace {

std::string_view element_name(GgufValueType type) {
  switch (type) {
    case GgufValueType::kU8:
    case GgufValueType::kI8:
    case GgufValueType::kU16:
    case GgufValueType::kI16:
    case GgufValueType::kU32:
    case GgufValueType::kI32:
    case GgufValueType::kU64:
    case GgufValueType::kI64:
      return "whole number";
    case GgufValueType::kF32:
    case GgufValueType::kF64:
      return "number";
    case GgufValueType::kBool:
      return "truth value";
    case GgufValueType::kText:
      return "text";
    case GgufValueType::kArray:
      break;
  }
  return "list";
}

bool is_whole(GgufValueType type) { return element_name(type) == "whole number"; }
bool is_number(GgufValueType type) { return is_whole(type) || element_name(type) == "number"; }

// The next element of a value whose type is known to fit.
std::int64_t next_integer(ByteReader& reader, const GgufValue& value) {
  switch (value.type) {
    case GgufValueType::kU8:
      return reader.number<std::uint8_t>();
    case GgufValueType::kI8:
      return reader.number<std::int8_t>();
    case GgufValueType::kU16:
      return reader.number<std::uint16_t>();
    case GgufValueType::kI16:
      return reader.number<std::int16_t>();
    case GgufValueType::kU32:
      return reader.number<std::uint32_t>();
    case GgufValueType::kI32:
      return reader.number<std::int32_t>();
    case GgufValueType::kI64:
      return reader.number<std::int64_t>();
    default:
      break;
  }
  const auto number = reader.number<std::uint64_t>();
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    reader.fail(fmt::format("metadata '{}' is {}, beyond 63 bits", value.key, number));
  }
  return static_cast<std::int64_t>(number);
}

double next_number(ByteReader& reader, const GgufValue& value) {
  if (value.type == GgufValueType::kF32) return reader.number<float>();
  if (value.type == GgufValueType::kF64) return reader.number<double>();
  if (value.type == GgufValueType::kU64) return static_cast<double>(reader.number<std::uint64_t>());
  return static_cast<double>(next_integer(reader, value));
}

bool next_boolean(ByteReader& reader, const GgufValue& /*value*/) { return reader.number<std::uint8_t>() != 0; }

std::string_view next_text(ByteReader& reader, const GgufValue& /*value*/) {
  return as_text(reader.take(reader.number<std::uint64_t>()));
}

bool is_boolean(GgufValueType type) { return type == GgufValueType::kBool; }
bool is_text(GgufValueType type) { return type == GgufValueType::kText; }

// `fits` says which element types the caller takes, `wanted` names them.
void check_type(const Gguf& content, const GgufValue& value, bool list, bool (*fits)(GgufValueType),
                std::string_view wanted) {
  if (value.is_array == list && fits(value.type)) return;
  throw bad_input(content.where(), fmt::format("metadata '{}' is a {}, not a {}{}", value.key, describe(value),
                                               list ? "list of " : "", wanted));
}

template <typename T>
T single(const Gguf& content, const GgufValue& value, bool (*fits)(GgufValueType), std::string_view wanted,
         T (*next)(ByteReader&, const GgufValue&)) {
  check_type(content, value, false, fits, wanted);
  ByteReader reader(value.bytes, content.where());
  return next(reader, value);
}

template <typename T>
std::vector<T> list(const Gguf& content, const GgufValue& value, bool (*fits)(GgufValueType), std::string_view wanted,
                    T (*next)(ByteReader&, const GgufValue&)) {
  check_type(content, value, true, fits, wanted);
  ByteReader reader(value.bytes, content.where());
  std::vector<T> result;
  result.reserve(value.count);
  for (std::uint64_t i = 0; i < value.count; ++i) result.push_back(next(reader, value));
  return result;
}

}  // namespace

std::int64_t GgufTensor::numel() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

std::int64_t GgufTensor::row_length() const { return shape.empty() ? 1 : shape.back(); }

std::string describe(const GgufValue& value) {
  return fmt::format("{}{}", value.is_array ? "list of " : "", element_name(value.type));
}

const GgufValue* Gguf::find(std::string_view key) const {
  const auto found = value_by_key_.find(std::string(key));
  return found == value_by_key_.end() ? nullptr : &metadata_[found->second];
}

const GgufTensor* Gguf::find_tensor(std::string_view name) const {
  const auto found = tensor_by_name_.find(std::string(name));
  return found == tensor_by_name_.end() ? nullptr : &tensors_[found->second];
}

const GgufTensor& Gguf::tensor(std::string_view name) const {
  const GgufTensor* const found = find_tensor(name);
  if (found == nullptr) throw bad_input(where_, fmt::format("has no tensor '{}'", name));
  return *found;
}

const GgufValue& Gguf::need(std::string_view key) const {
  const GgufValue* const value = find(key);
  if (value == nullptr) throw bad_input(where_, fmt::format("has no metadata '{}'", key), "convert the model again");
  return *value;
}

std::string_view Gguf::text(std::string_view key) const { return single(*this, need(key), is_text, "text", next_text); }
std::int64_t Gguf::integer(std::string_view key) const {
  return single(*this, need(key), is_whole, "whole number", next_integer);
}
double Gguf::number(std::string_view key) const { return single(*this, need(key), is_number, "number", next_number); }
bool Gguf::boolean(std::string_view key) const {
  return single(*this, need(key), is_boolean, "truth value", next_boolean);
}
std::vector<std::string_view> Gguf::texts(std::string_view key) const {
  return list(*this, need(key), is_text, "texts", next_text);
}
std::vector<std::int64_t> Gguf::integers(std::string_view key) const {
  return list(*this, need(key), is_whole, "whole numbers", next_integer);
}
std::vector<double> Gguf::numbers(std::string_view key) const {
  return list(*this, need(key), is_number, "numbers", next_number);
}
std::vector<bool> Gguf::booleans(std::string_view key) const {
  return list(*this, need(key), is_boolean, "truth values", next_boolean);
}

std::optional<std::string_view> Gguf::optional_text(std::string_view key) const {
  return has(key) ? std::optional(text(key)) : std::nullopt;
}
std::optional<std::int64_t> Gguf::optional_integer(std::string_view key) const {
  return has(key) ? std::optional(integer(key)) : std::nullopt;
}
std::optional<double> Gguf::optional_number(std::string_view key) const {
  return has(key) ? std::optional(number(key)) : std::nullopt;
}
std::optional<bool> Gguf::optional_boolean(std::string_view key) const {
  return has(key) ? std::optional(boolean(key)) : std::nullopt;
}
std::optional<std::vector<std::string_view>> Gguf::optional_texts(std::string_view key) const {
  return has(key) ? std::optional(texts(key)) : std::nullopt;
}
std::optional<std::vector<std::int64_t>> Gguf::optional_integers(std::string_view key) const {
  return has(key) ? std::optional(integers(key)) : std::nullopt;
}
std::optional<std::vector<double>> Gguf::optional_numbers(std::string_view key) const {
  return has(key) ? std::optional(numbers(key)) : std::nullopt;
}

std::string Gguf::show(const GgufValue& value, std::uint64_t most) const {
  ByteReader reader(value.bytes, where_);
  const auto next = [&]() -> std::string {
    if (is_text(value.type)) return std::string(next_text(reader, value));
    if (is_boolean(value.type)) return next_boolean(reader, value) ? "true" : "false";
    if (value.type == GgufValueType::kF32) return fmt::format("{}", reader.number<float>());
    if (value.type == GgufValueType::kF64) return fmt::format("{}", reader.number<double>());
    if (value.type == GgufValueType::kU64) return fmt::format("{}", reader.number<std::uint64_t>());
    return fmt::format("{}", next_integer(reader, value));
  };
  if (!value.is_array) return next();
  std::string result = fmt::format("{} x {}: ", value.count, element_name(value.type));
  for (std::uint64_t i = 0; i < std::min(value.count, most); ++i) result += (i == 0 ? "" : ", ") + next();
  return result + (value.count > most ? ", ..." : "");
}

GgufFile::GgufFile(const std::filesystem::path& path)
    : file_(path), content_(Gguf::parse(file_.bytes(), path.string())) {}

}  // namespace kinglet
