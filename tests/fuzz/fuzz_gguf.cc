// A GGUF file: what is accepted lies inside the file, apart, and everything in it can be asked for.
#include <algorithm>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/io/gguf_dequantize.h"

namespace kinglet::fuzz {
namespace {

constexpr std::int64_t kMostElements = 8192;  // decoding more takes the time of many inputs

bool inside(ByteView part, ByteView whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check_metadata(const Gguf& content, ByteView file) {
  for (const GgufValue& value : content.metadata()) {
    require(inside(value.bytes, file), "metadata lies in the file");
    require(content.find(value.key) == &value, "metadata is found by its key");
    require(value.count <= value.bytes.size(), "every element takes a byte at least");
    content.show(value, 4);
    const std::string& key = value.key;
    const bool one_way = accepted([&] { content.text(key); }) || accepted([&] { content.texts(key); }) ||
                         accepted([&] { content.boolean(key); }) || accepted([&] { content.booleans(key); }) ||
                         accepted([&] { content.number(key); }) || accepted([&] { content.numbers(key); });
    require(one_way, "every value has a getter");
    accepted([&] { content.integer(key); });
    accepted([&] { content.integers(key); });
  }
}

void check_tensors(const Gguf& content, ByteView file) {
  std::uint64_t bytes = 0;
  for (const GgufTensor& tensor : content.tensors()) {
    require(inside(tensor.data, file), "tensors lie in the file");
    require(content.find_tensor(tensor.name) == &tensor, "a tensor is found by its name");
    const GgufTypeFacts facts = facts_of(tensor.type);
    const auto elements = static_cast<std::uint64_t>(tensor.numel());
    require(elements / facts.elements * facts.bytes == tensor.data.size(), "shape, type and bytes agree");
    bytes += tensor.data.size();
    if (tensor.numel() <= kMostElements) accepted([&] { dequantize(tensor); });
  }
  require(bytes <= file.size(), "tensors do not overlap");
}

void check_gguf(ByteView input) {
  Gguf content;
  if (!accepted([&] { content = Gguf::parse(input, "input"); })) return;
  check_metadata(content, input);
  check_tensors(content, input);
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(gguf, kinglet::fuzz::check_gguf)
