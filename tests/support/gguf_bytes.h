// GGUF files for tests, also such as no well-behaved writer makes.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/little_endian.h"

#include "kinglet/io/gguf.h"

namespace kinglet::testing_support {

class GgufBytes {
 public:
  std::uint32_t version = 3;
  std::uint32_t alignment = 32;  // of the writer; add the metadata general.alignment yourself

  static std::string text_of(std::string_view text) { return le(text.size(), 8) + std::string(text); }

  // `coded`: the value's bytes.
  GgufBytes& value(std::string_view key, GgufValueType type, const std::string& coded) {
    metadata_ += text_of(key) + le(static_cast<std::uint32_t>(type), 4) + coded;
    ++values_;
    return *this;
  }
  GgufBytes& text(std::string_view key, std::string_view content) {
    return value(key, GgufValueType::kText, text_of(content));
  }
  GgufBytes& u32(std::string_view key, std::uint32_t number) { return value(key, GgufValueType::kU32, le(number, 4)); }
  GgufBytes& f32(std::string_view key, float number) {
    return value(key, GgufValueType::kF32, le(std::bit_cast<std::uint32_t>(number), 4));
  }
  GgufBytes& boolean(std::string_view key, bool truth) {
    return value(key, GgufValueType::kBool, le(truth ? 1 : 0, 1));
  }
  GgufBytes& array(std::string_view key, GgufValueType type, std::uint64_t count, const std::string& coded) {
    return value(key, GgufValueType::kArray, le(static_cast<std::uint32_t>(type), 4) + le(count, 8) + coded);
  }
  GgufBytes& texts(std::string_view key, const std::vector<std::string>& contents) {
    std::string coded;
    for (const std::string& content : contents) coded += text_of(content);
    return array(key, GgufValueType::kText, contents.size(), coded);
  }
  GgufBytes& floats(std::string_view key, const std::vector<float>& numbers) {
    return array(key, GgufValueType::kF32, numbers.size(), raw(numbers));
  }
  GgufBytes& integers(std::string_view key, const std::vector<std::int32_t>& numbers) {
    return array(key, GgufValueType::kI32, numbers.size(), raw(numbers));
  }

  // `sizes` in the file's order, fastest first.
  GgufBytes& tensor(std::string_view name, GgufType type, const std::vector<std::uint64_t>& sizes,
                    const std::string& data) {
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    tensor_at(name, static_cast<std::uint32_t>(type), sizes, data_.size());
    data_ += data;
    return *this;
  }
  // Only the entry.
  GgufBytes& tensor_at(std::string_view name, std::uint32_t type, const std::vector<std::uint64_t>& sizes,
                       std::uint64_t offset) {
    infos_ += text_of(name) + le(sizes.size(), 4) + raw(sizes) + le(type, 4) + le(offset, 8);
    ++tensors_;
    return *this;
  }

  std::string bytes() const {
    std::string file = "GGUF" + le(version, 4) + le(tensors_, 8) + le(values_, 8) + metadata_ + infos_;
    if (tensors_ > 0) file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data_;
  }

 private:
  std::string metadata_, infos_, data_;
  std::uint64_t values_ = 0, tensors_ = 0;
};

}  // namespace kinglet::testing_support
