#include "kinglet/io/torch_file.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/torch_globals.h"
#include "kinglet/io/torch_legacy.h"
#include "kinglet/io/torch_tensors.h"
#include "kinglet/io/zip.h"

namespace kinglet {
namespace {

constexpr std::string_view kZipSignature = "PK\x03\x04";
constexpr std::size_t kMaxPath = 4096;  // of a container, in bytes

// The records of a torch.save archive, found by their names below the one directory.
class Archive {
 public:
  Archive(ByteView bytes, std::string_view where) : bytes_(bytes), where_(where) {
    if (is_torch_script(list_zip(bytes, where))) {
      throw bad_input(where, "a TorchScript archive holds a program, not a checkpoint",
                      "save the state_dict() instead of the scripted module");
    }
    entries_ = parse_zip(bytes, where);
    for (const ZipEntry& entry : entries_) {
      const std::size_t slash = entry.name.find('/');
      if (slash == std::string::npos) throw bad_input(where, "a zip archive, but not one of torch.save");
      by_name_.emplace(std::string_view(entry.name).substr(slash + 1), &entry);
      const std::string_view directory = std::string_view(entry.name).substr(0, slash);
      if (directory != std::string_view(entries_[0].name).substr(0, slash)) {
        throw bad_input(where, "a zip archive with several directories, not one of torch.save");
      }
    }
  }

  const ZipEntry* find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }
  ByteView data(const ZipEntry& entry) const { return bytes_.subspan(entry.data_offset, entry.size); }

  void require_little_endian() const {
    const ZipEntry* entry = find("byteorder");
    if (entry != nullptr && as_text(data(*entry)) != "little") {
      throw bad_input(where_, "the file was written on a big-endian machine",
                      "load and save it with PyTorch on this machine");
    }
  }
  TorchStorage storage(const StorageReference& reference) const {
    const ZipEntry* entry = find("data/" + reference.key);
    if (entry == nullptr) {
      throw bad_input(where_, fmt::format("storage '{}' is missing", reference.key),
                      "the file is damaged: use another checkpoint");
    }
    return {reference.key, DType::kU8, entry->data_offset, entry->size, entry->crc_offsets};
  }

 private:
  ByteView bytes_;
  std::string_view where_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, const ZipEntry*> by_name_;
};

void refuse_unknown_globals(const PickleDocument& document, std::string_view where) {
  for (const std::string& name : pickle_globals(document)) {
    if (!is_known_global(name)) {
      std::string dotted = name;
      std::replace(dotted.begin(), dotted.end(), ' ', '.');
      throw bad_input(where, fmt::format("names '{}', which is not plain checkpoint data", dotted),
                      "nothing was run; save a state_dict() instead of whole objects");
    }
  }
}

}  // namespace

std::int64_t TorchTensor::numel() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

bool TorchTensor::is_contiguous() const {
  if (numel() == 0) return true;
  std::int64_t expected = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1) continue;
    if (strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

TorchFile TorchFile::open(const std::filesystem::path& path, bool strict) {
  MappedFile file(path);
  TorchFile result = parse(file.bytes(), path.string(), strict);
  result.file_ = std::move(file);
  return result;
}

TorchFile TorchFile::parse(ByteView bytes, std::string_view where, bool strict) {
  TorchFile result;
  result.bytes_ = bytes;
  FoundTensors found;
  if (as_text(bytes).starts_with(kZipSignature)) {
    const Archive archive(bytes, where);
    archive.require_little_endian();
    const ZipEntry* pickle = archive.find("data.pkl");
    if (pickle == nullptr) throw bad_input(where, "a zip archive without data.pkl is not one of torch.save");
    check_zip_crc(bytes, *pickle, where);
    result.document_ = parse_pickle(archive.data(*pickle), where);
    if (strict) refuse_unknown_globals(result.document_, where);
    found = find_tensors(result.document_, where,
                         [&](const StorageReference& reference) { return archive.storage(reference); });
  } else {
    result.format_ = Format::kLegacy;
    LegacyFile legacy = parse_legacy_torch(bytes, where);
    result.document_ = std::move(legacy.document);
    if (strict) refuse_unknown_globals(result.document_, where);
    found = find_tensors(result.document_, where,
                         [&](const StorageReference& reference) { return legacy.locate(reference, bytes, where); });
  }
  result.storages_ = std::move(found.storages);
  result.tensors_ = std::move(found.tensors);
  return result;
}

const TorchTensor* TorchFile::tensor(const PickleValue* value) const {
  const auto found = tensors_.find(value);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::vector<TorchFile::Named> TorchFile::named_tensors() const {
  struct Visit {
    const PickleValue* value;
    std::string path;
  };
  std::vector<Named> named;
  std::unordered_set<const PickleValue*> containers;  // a container that holds itself is walked once
  std::vector<Visit> open = {{document_.root, ""}};
  while (!open.empty()) {
    const Visit visit = std::move(open.back());
    open.pop_back();
    if (const TorchTensor* found = tensor(visit.value)) {
      named.push_back({visit.path, found});
      continue;
    }
    const PickleValue& value = *visit.value;
    const bool pairs = value.kind == PickleKind::kDict || value.kind == PickleKind::kCall;
    const std::vector<PickleValue*>& items = value.kind == PickleKind::kCall ? value.appended : value.items;
    if ((!pairs && value.kind != PickleKind::kList && value.kind != PickleKind::kTuple) || items.empty() ||
        !containers.insert(&value).second) {
      continue;
    }
    // Every entry below gets a copy, and the memo makes entries cheap: a long key would stand for much memory.
    if (visit.path.size() > kMaxPath) {
      throw bad_input(visit.path.substr(0, 80), "the path to these values is longer than 4096 bytes",
                      "not a plain checkpoint");
    }
    const std::string prefix = visit.path.empty() ? "" : visit.path + ".";
    std::vector<Visit> children;
    for (std::size_t i = 0; i < items.size(); i += pairs ? 2 : 1) {
      if (!pairs) {
        children.push_back({items[i], prefix + std::to_string(i)});
      } else if (i + 1 < items.size() && items[i]->kind == PickleKind::kString) {
        children.push_back({items[i + 1], prefix + items[i]->text});
      } else if (i + 1 < items.size() && items[i]->kind == PickleKind::kInt) {
        children.push_back({items[i + 1], prefix + std::to_string(items[i]->integer)});
      }
    }
    open.insert(open.end(), std::make_move_iterator(children.rbegin()), std::make_move_iterator(children.rend()));
  }
  return named;
}

ByteView TorchFile::contiguous_bytes(const TorchTensor& tensor) const {
  if (!tensor.is_contiguous())
    throw bad_input("tensor", "its elements are not contiguous in the file", "save a contiguous copy");
  const TorchStorage& storage = storages_.at(tensor.storage);
  const std::uint64_t item = item_size(tensor.dtype);
  const auto count = static_cast<std::uint64_t>(tensor.numel());
  if (count == 0) return {};
  return bytes_.subspan(storage.offset + static_cast<std::uint64_t>(tensor.storage_offset) * item, count * item);
}

}  // namespace kinglet
