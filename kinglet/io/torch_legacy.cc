#include "kinglet/io/torch_legacy.h"

#include <cstring>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/io/torch_globals.h"

namespace kinglet {
namespace {

constexpr std::string_view kMagic = "119547037146038801333356";  // 0x1950a86a20f9469cfc6c
constexpr std::int64_t kProtocol = 1001;

std::uint64_t read_u64(ByteView bytes, std::uint64_t offset) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// Element size of every storage that the object refers to: the data section does not repeat it.
std::map<std::string, std::uint64_t> item_sizes(const PickleDocument& document, std::string_view where) {
  std::map<std::string, std::uint64_t> sizes;
  for (const PickleValue& value : document.nodes) {
    if (value.kind != PickleKind::kPersistentId) continue;
    const StorageReference reference = parse_storage_reference(value, where);
    sizes[reference.key] = reference.dtype ? item_size(*reference.dtype) : 1;
  }
  return sizes;
}

}  // namespace

bool is_legacy_torch(ByteView bytes) {
  // Protocol byte and number, LONG1 of ten bytes, the magic.
  constexpr std::string_view kBegin("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);
  return bytes.size() > 2 + kBegin.size() && bytes[0] == std::byte{0x80} &&
         as_text(bytes.subspan(2, kBegin.size())) == kBegin;
}

LegacyFile parse_legacy_torch(ByteView bytes, std::string_view where) {
  const auto unknown = [&] {
    return bad_input(where, "not a file of torch.save (neither a zip archive nor the legacy format)",
                     "check the file; the tar format of PyTorch 0.1 is not supported");
  };
  std::size_t position = 0;
  const auto next = [&] {
    PickleDocument document = parse_pickle(bytes.subspan(position), where);
    position += document.bytes_read;
    return document;
  };
  PickleDocument magic;
  try {
    magic = next();
  } catch (const Error&) {
    throw unknown();
  }
  if (magic.root->kind != PickleKind::kBigInt || magic.root->text != kMagic) throw unknown();
  const PickleDocument protocol = next();
  if (protocol.root->kind != PickleKind::kInt || protocol.root->integer != kProtocol) throw unknown();
  const PickleDocument system = next();
  const PickleValue* little = system.root->find("little_endian");
  if (little != nullptr && little->kind == PickleKind::kBool && !little->boolean) {
    throw bad_input(where, "the file was written on a big-endian machine",
                    "load and save it with PyTorch on this machine");
  }

  LegacyFile file;
  file.document = next();
  const PickleDocument keys = next();
  const auto sizes = item_sizes(file.document, where);
  if (keys.root->kind != PickleKind::kList) throw unknown();
  const auto truncated = [&] {
    return bad_input(where, "the storages are incomplete; the save was interrupted", "use an earlier checkpoint");
  };
  for (const PickleValue* key : keys.root->items) {
    if (key->kind != PickleKind::kString || !sizes.contains(key->text)) throw truncated();
    if (bytes.size() - position < 8) throw truncated();
    const std::uint64_t numel = read_u64(bytes, position);
    std::uint64_t length = 0;
    if (__builtin_mul_overflow(numel, sizes.at(key->text), &length) || length > bytes.size() - position - 8)
      throw truncated();
    if (!file.position.emplace(key->text, position).second) throw truncated();
    position += 8 + length;
  }
  return file;
}

TorchStorage LegacyFile::locate(const StorageReference& reference, ByteView bytes, std::string_view where) const {
  const auto found = position.find(reference.key);
  if (found == position.end()) {
    throw bad_input(where, fmt::format("storage '{}' is missing", reference.key),
                    "the file is damaged: use another checkpoint");
  }
  const std::uint64_t item = reference.dtype ? item_size(*reference.dtype) : 1;
  return {reference.key, DType::kU8, found->second + 8, read_u64(bytes, found->second) * item, {}};
}

}  // namespace kinglet
