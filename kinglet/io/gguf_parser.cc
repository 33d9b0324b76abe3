// Reading the structure of a GGUF file.
#include <algorithm>
#include <bit>
#include <limits>

#include <fmt/format.h>

#include "kinglet/base/byte_io.h"
#include "kinglet/base/error.h"
#include "kinglet/io/gguf.h"

namespace kinglet {
namespace {

constexpr std::string_view kFetchAgain = "the file is truncated or damaged: fetch it again";
constexpr std::uint64_t kMaxKeyBytes = 65535;    // the format's own limit
constexpr std::uint64_t kMaxNameBytes = 4096;    // llama.cpp stops at 63
constexpr std::uint32_t kMaxGgufDimensions = 8;  // llama.cpp knows 4
constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 48;
// The fewest bytes that an entry takes: they bound the counts, and with them the memory, by the size of the file.
constexpr std::uint64_t kLeastValueBytes = 8 + 4 + 1;
constexpr std::uint64_t kLeastTensorBytes = 8 + 4 + 4 + 8;

// Bytes of one element; 0 for text and for what is no element.
std::size_t element_bytes(std::uint32_t type) {
  switch (static_cast<GgufValueType>(type)) {
    case GgufValueType::kU8:
    case GgufValueType::kI8:
    case GgufValueType::kBool:
      return 1;
    case GgufValueType::kU16:
    case GgufValueType::kI16:
      return 2;
    case GgufValueType::kU32:
    case GgufValueType::kI32:
    case GgufValueType::kF32:
      return 4;
    case GgufValueType::kU64:
    case GgufValueType::kI64:
    case GgufValueType::kF64:
      return 8;
    case GgufValueType::kText:
    case GgufValueType::kArray:
      break;
  }
  return 0;
}

}  // namespace

class GgufParser {
 public:
  GgufParser(ByteView file, std::string_view where) : file_(file), where_(where), reader_(file, where) {}

  Gguf parse() {
    result_.where_ = where_;
    read_start();
    for (std::uint64_t i = 0; i < value_count_; ++i) read_value();
    read_alignment();
    for (std::uint64_t i = 0; i < tensor_count_; ++i) read_tensor();
    place_tensors();
    return std::move(result_);
  }

 private:
  // A tensor's place and its offset in the data section.
  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };

  void read_start() {
    if (file_.size() < 4 || as_text(reader_.take(4)) != "GGUF") throw bad_input(where_, "not a GGUF file");
    result_.version_ = reader_.number<std::uint32_t>();
    const std::uint32_t version = result_.version_;
    if (version != 0 && (version & 0xFFFF) == 0) {
      throw bad_input(where_, "the numbers of this GGUF file are big-endian", "fetch the little-endian file");
    }
    if (version != 2 && version != 3) {
      throw bad_input(where_, fmt::format("GGUF version {}; versions 2 and 3 are known", version),
                      version < 2 ? "convert the model again" : "this program may be too old for the file");
    }
    tensor_count_ = read_count("tensors", kLeastTensorBytes);
    value_count_ = read_count("metadata entries", kLeastValueBytes);
  }

  std::uint64_t read_count(std::string_view what, std::uint64_t least_bytes) {
    const auto count = reader_.number<std::uint64_t>();
    if (count > reader_.remaining() / least_bytes) {
      throw bad_input(where_, fmt::format("{} {} cannot stand in a file of {} bytes", count, what, file_.size()),
                      kFetchAgain);
    }
    return count;
  }

  std::string_view read_text(std::string_view what, std::uint64_t limit = std::numeric_limits<std::uint64_t>::max()) {
    const auto length = reader_.number<std::uint64_t>();
    if (length > std::min(limit, reader_.remaining())) {
      throw bad_input(where_, fmt::format("{} of {} bytes", what, length), kFetchAgain);
    }
    return as_text(reader_.take(length));
  }

  std::size_t position() const { return file_.size() - reader_.remaining(); }

  void read_value() {
    GgufValue value;
    value.key = read_text("a metadata key", kMaxKeyBytes);
    auto type = reader_.number<std::uint32_t>();
    if (type == static_cast<std::uint32_t>(GgufValueType::kArray)) {
      value.is_array = true;
      type = reader_.number<std::uint32_t>();
      value.count = reader_.number<std::uint64_t>();
    }
    value.type = static_cast<GgufValueType>(type);
    const std::size_t start = position();
    if (value.type == GgufValueType::kText) {
      for (std::uint64_t i = 0; i < value.count; ++i) read_text("a text in the metadata");
    } else {
      skip_numbers(value);
    }
    value.bytes = file_.subspan(start, position() - start);
    check_booleans(value);
    if (!result_.value_by_key_.emplace(value.key, result_.metadata_.size()).second) {
      throw bad_input(where_, fmt::format("metadata '{}' occurs twice", value.key));
    }
    result_.metadata_.push_back(std::move(value));
  }

  void skip_numbers(const GgufValue& value) {
    const std::size_t size = element_bytes(static_cast<std::uint32_t>(value.type));
    if (size == 0) {
      throw bad_input(where_, value.type == GgufValueType::kArray
                                  ? fmt::format("metadata '{}' is a list of lists, which is not supported", value.key)
                                  : fmt::format("metadata '{}' has the unknown type {}", value.key,
                                                static_cast<std::uint32_t>(value.type)));
    }
    if (value.count > reader_.remaining() / size) {
      throw bad_input(where_, fmt::format("metadata '{}' has {} elements", value.key, value.count), kFetchAgain);
    }
    reader_.take(value.count * size);
  }

  void check_booleans(const GgufValue& value) const {
    if (value.type != GgufValueType::kBool) return;
    if (std::any_of(value.bytes.begin(), value.bytes.end(), [](std::byte byte) { return byte > std::byte{1}; })) {
      throw bad_input(where_, fmt::format("metadata '{}' holds a truth value that is neither 0 nor 1", value.key));
    }
  }

  void read_alignment() {
    const std::int64_t alignment = result_.optional_integer("general.alignment").value_or(32);
    if (alignment < 1 || alignment > std::int64_t{1} << 30 ||
        !std::has_single_bit(static_cast<std::uint64_t>(alignment)))
      throw bad_input(where_, fmt::format("general.alignment is {}, not a power of two", alignment));
    result_.alignment_ = static_cast<std::uint32_t>(alignment);
  }

  void read_tensor() {
    GgufTensor tensor;
    tensor.name = read_text("a tensor name", kMaxNameBytes);
    const auto refuse = [&](std::string_view what) {
      return bad_input(where_, fmt::format("tensor '{}': {}", tensor.name, what), kFetchAgain);
    };
    const auto dimensions = reader_.number<std::uint32_t>();
    if (dimensions > kMaxGgufDimensions) throw refuse(fmt::format("{} dimensions", dimensions));
    std::uint64_t elements = 1;
    bool empty = false;
    for (std::uint32_t d = 0; d < dimensions; ++d) {
      const auto size = reader_.number<std::uint64_t>();
      empty = empty || size == 0;
      // Zeros are left out, so that no order of the sizes can overflow later.
      if (size != 0 && (__builtin_mul_overflow(elements, size, &elements) || elements > kMaxElements)) {
        throw refuse("its shape overflows");
      }
      tensor.shape.push_back(static_cast<std::int64_t>(size));
    }
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    if (empty) elements = 0;
    const auto type = reader_.number<std::uint32_t>();
    const auto facts = find_gguf_type(type);
    if (!facts) throw bad_input(where_, fmt::format("tensor '{}' has the unknown type {}", tensor.name, type));
    tensor.type = facts->type;
    if (static_cast<std::uint64_t>(tensor.row_length()) % facts->elements != 0) {
      throw refuse(fmt::format("rows of {} elements are no whole blocks of {}", tensor.row_length(), facts->elements));
    }
    places_.push_back({reader_.number<std::uint64_t>(), elements / facts->elements * facts->bytes});
    if (!result_.tensor_by_name_.emplace(tensor.name, result_.tensors_.size()).second) {
      throw bad_input(where_, fmt::format("tensor '{}' occurs twice", tensor.name));
    }
    result_.tensors_.push_back(std::move(tensor));
  }

  void place_tensors() {
    const std::uint64_t mask = result_.alignment_ - 1;
    const std::uint64_t start = (position() + mask) & ~mask;
    const ByteView data = file_.subspan(std::min<std::uint64_t>(start, file_.size()));
    for (std::size_t i = 0; i < places_.size(); ++i) {
      GgufTensor& tensor = result_.tensors_[i];
      const auto [offset, bytes] = places_[i];
      if ((offset & mask) != 0) {
        throw bad_input(where_, fmt::format("tensor '{}' is not aligned to {} bytes", tensor.name, mask + 1));
      }
      if (offset > data.size() || bytes > data.size() - offset) {
        throw bad_input(where_,
                        fmt::format("tensor '{}' needs {} bytes at {} of {} bytes of data", tensor.name, bytes, offset,
                                    data.size()),
                        kFetchAgain);
      }
      tensor.data = data.subspan(offset, bytes);
    }
    refuse_overlap();
  }

  void refuse_overlap() const {
    std::vector<const GgufTensor*> in_order;
    for (const GgufTensor& tensor : result_.tensors_) {
      if (!tensor.data.empty()) in_order.push_back(&tensor);
    }
    std::sort(in_order.begin(), in_order.end(),
              [](const GgufTensor* a, const GgufTensor* b) { return a->data.data() < b->data.data(); });
    for (std::size_t i = 1; i < in_order.size(); ++i) {
      if (in_order[i - 1]->data.data() + in_order[i - 1]->data.size() > in_order[i]->data.data()) {
        throw bad_input(where_, fmt::format("tensors '{}' and '{}' overlap", in_order[i - 1]->name, in_order[i]->name));
      }
    }
  }

  ByteView file_;
  std::string where_;
  ByteReader reader_;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t value_count_ = 0;
  std::vector<Place> places_;
  Gguf result_;
};

Gguf Gguf::parse(ByteView file, std::string_view where) { return GgufParser(file, where).parse(); }

}  // namespace kinglet
