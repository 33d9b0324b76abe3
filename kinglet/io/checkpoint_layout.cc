#include "kinglet/io/checkpoint_layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/dcp.h"
#include "kinglet/io/file_names.h"
#include "kinglet/io/torch_legacy.h"
#include "kinglet/io/zip.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

// ---- the folder ------------------------------------------------------------------------------------------------

void check_name(const fs::path& root, const std::string& name) {
  if (printable(name) == name) return;
  throw bad_input(root.string(), fmt::format("file name '{}' has control characters or is not UTF-8", name),
                  "rename it or move it out of the checkpoint");
}

std::vector<std::string> list_files(const fs::path& root, std::vector<std::string>& notes) {
  std::vector<std::string> names;
  std::error_code error;
  fs::recursive_directory_iterator entry(root, fs::directory_options::none, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().lexically_relative(root).generic_string();
    std::error_code gone;
    const bool link = entry->is_symlink(gone);
    const fs::file_status target = entry->status(gone);
    if (fs::is_directory(target) && !link) continue;
    if (!fs::is_regular_file(target)) {
      notes.push_back(fmt::format("{}: skipped, {}", printable(name),
                                  link ? "a link that does not lead to a file" : "not a regular file"));
      continue;
    }
    check_name(root, name);
    if (link) notes.push_back(fmt::format("{}: a link; the file it leads to is taken", name));
    names.push_back(name);
  }
  if (error) throw system_error(root.string(), "cannot list the folder", error.value());
  std::sort(names.begin(), names.end());
  std::sort(notes.begin(), notes.end());
  return names;
}

// ---- kinds of files --------------------------------------------------------------------------------------------

// Files of arbitrary Python classes; nothing in them is worth the risk of a wrong reading.
bool is_opaque(std::string_view name) {
  const std::string_view base = base_name(name);
  return base == "training_args.bin" || base.starts_with("rng_state") || base.starts_with("random_states");
}

bool starts_with(ByteView bytes, ByteView signature) {
  return bytes.size() >= signature.size() && std::memcmp(bytes.data(), signature.data(), signature.size()) == 0;
}

// A zip that torch.save wrote: by its usual extension, or because the first entry is "<stem>/data.pkl".
bool is_torch_zip(std::string_view name, ByteView bytes) {
  static constexpr std::size_t kLocalHeader = 30;
  static constexpr std::array<std::string_view, 4> kExtensions = {".pt", ".pth", ".bin", ".ckpt"};
  if (!starts_with(bytes, as_bytes("PK\x03\x04"))) return false;
  for (const std::string_view extension : kExtensions) {
    if (name.ends_with(extension)) return true;
  }
  if (bytes.size() < kLocalHeader) return false;
  const std::size_t length = std::to_integer<std::size_t>(bytes[26]) | std::to_integer<std::size_t>(bytes[27]) << 8;
  if (bytes.size() - kLocalHeader < length) return false;
  return as_text(bytes.subspan(kLocalHeader, length)).ends_with("/data.pkl");
}

// The legacy stream starts with a pickle of the magic number.

// ---- regions ---------------------------------------------------------------------------------------------------

void append_safetensors_regions(const SafetensorsHeader& header, FileLayout& layout) {
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.end == entry.begin) continue;
    layout.regions.push_back({entry.begin, entry.end - entry.begin, entry.dtype, entry.name});
  }
}

void check_regions(const FileLayout& layout, std::string_view where) {
  std::uint64_t end = 0;
  for (const Region& region : layout.regions) {
    if (region.offset < end || region.offset > layout.size || region.bytes > layout.size - region.offset) {
      throw bad_input(where, fmt::format("data of '{}' overlaps other data or the end of the file", region.label));
    }
    end = region.offset + region.bytes;
  }
  for (const RegionChecksum& checksum : layout.checksums) {
    if (layout.size < 4 || checksum.offset > layout.size - 4) throw bad_input(where, "a checksum is outside the file");
    // A checksum inside an array would be changed together with it.
    const auto after = std::upper_bound(layout.regions.begin(), layout.regions.end(), checksum.offset + 3,
                                        [](std::uint64_t at, const Region& region) { return at < region.offset; });
    if (after == layout.regions.begin()) continue;
    const Region& before = *std::prev(after);
    if (checksum.offset < before.offset + before.bytes) throw bad_input(where, "a checksum stands inside tensor data");
  }
}

CheckpointFile read_file_layout(const fs::path& path, std::string name, std::vector<std::string>& notes) {
  CheckpointFile file;
  file.where = path.string();
  file.map = MappedFile(path);
  const ByteView bytes = file.map.bytes();
  file.layout.name = std::move(name);
  file.layout.size = bytes.size();
  const std::string& layout_name = file.layout.name;
  if (is_opaque(layout_name)) return file;
  if (layout_name.ends_with(".safetensors")) {
    file.safetensors = parse_safetensors(bytes, file.where);
    append_safetensors_regions(*file.safetensors, file.layout);
  } else if (layout_name.ends_with(".distcp")) {
    return file;  // read by way of its .metadata
  } else if (is_torch_zip(layout_name, bytes)) {
    if (is_torch_script(list_zip(bytes, file.where))) {
      notes.push_back(fmt::format("{}: a TorchScript archive, kept as it is", layout_name));
      return file;
    }
    file.torch = TorchFile::parse(bytes, file.where, /*strict=*/false);
  } else if (is_legacy_torch(bytes)) {
    file.torch = TorchFile::parse(bytes, file.where, /*strict=*/false);
  }
  if (file.torch) file.storages = append_torch_regions(*file.torch, 0, {}, file.layout);
  check_regions(file.layout, file.where);
  return file;
}

// ---- shards ----------------------------------------------------------------------------------------------------

std::set<std::string> tensor_names(const CheckpointFile& file) {
  std::set<std::string> names;
  if (file.safetensors) {
    for (const SafetensorsEntry& entry : file.safetensors->entries) names.insert(entry.name);
  }
  if (file.torch) {
    for (const TorchFile::Named& named : file.torch->named_tensors()) names.insert(named.path);
  }
  return names;
}

CheckpointFile* find_file(CheckpointFiles& files, std::string_view name) {
  const auto found =
      std::lower_bound(files.files.begin(), files.files.end(), name,
                       [](const CheckpointFile& file, std::string_view key) { return file.layout.name < key; });
  return found != files.files.end() && found->layout.name == name ? &*found : nullptr;
}

std::string sibling(std::string_view name, std::string_view other) {
  return std::string(name.substr(0, name.size() - base_name(name).size())).append(other);
}

void check_shards(CheckpointFiles& files, const CheckpointFile& index) {
  const ShardIndex shards = read_shard_index(index.map.path());
  std::map<std::string, std::set<std::string>> names_of_shard;
  for (const auto& [tensor, shard] : shards.weight_map) {
    const auto [known, fresh] = names_of_shard.try_emplace(shard);
    if (fresh) {
      const CheckpointFile* file = find_file(files, sibling(index.layout.name, shard));
      if (file == nullptr) {
        throw bad_input(index.where, fmt::format("shard '{}' is missing", shard), "copy the complete checkpoint");
      }
      known->second = tensor_names(*file);
    }
    if (!known->second.contains(tensor)) {
      throw bad_input(index.where, fmt::format("tensor '{}' is not in shard '{}'", tensor, shard),
                      "index and shards are not of the same checkpoint");
    }
  }
}

// ---- distributed checkpoints -----------------------------------------------------------------------------------

void read_dcp_chunk(CheckpointFiles& files, const DcpChunk& chunk, const CheckpointFile& metadata) {
  join_untrusted(metadata.map.path().parent_path(), chunk.file);
  CheckpointFile* file = find_file(files, sibling(metadata.layout.name, chunk.file));
  if (file == nullptr) {
    throw bad_input(metadata.where, fmt::format("file '{}' is missing", printable(chunk.file)),
                    "copy the complete checkpoint");
  }
  const ByteView bytes = file->map.bytes();
  if (chunk.begin > bytes.size() || chunk.length > bytes.size() - chunk.begin) {
    throw bad_input(file->where, fmt::format("'{}' is cut off", chunk.tensor), "copy the checkpoint again");
  }
  if (chunk.transformed) return;
  const TorchFile blob = TorchFile::parse(bytes.subspan(chunk.begin, chunk.length),
                                          fmt::format("{} ({})", file->where, chunk.tensor), /*strict=*/false);
  const StorageRegions regions = append_torch_regions(blob, chunk.begin, chunk.tensor, file->layout);
  const TorchTensor* tensor = blob.tensor(blob.root());
  if (tensor == nullptr || !tensor->is_contiguous() || tensor->storage_offset != 0 || tensor->shape != chunk.shape) {
    return;
  }
  const auto region = regions.region_of_storage[tensor->storage];
  if (!region) return;
  const Region& numbers = file->layout.regions[*region];
  if (numbers.dtype != tensor->dtype ||
      numbers.bytes != static_cast<std::uint64_t>(tensor->numel()) * item_size(tensor->dtype)) {
    return;
  }
  const auto file_index = static_cast<std::size_t>(file - files.files.data());
  files.dcp.push_back({chunk.tensor, chunk.offsets, chunk.shape, chunk.whole, tensor->dtype, {file_index, *region}});
}

void read_dcp_folder(CheckpointFiles& files, const CheckpointFile& metadata) {
  std::set<std::string> touched;
  for (const DcpChunk& chunk : parse_dcp_metadata(metadata.map.bytes(), metadata.where)) {
    read_dcp_chunk(files, chunk, metadata);
    touched.insert(chunk.file);
  }
  for (const std::string& name : touched) {
    const CheckpointFile* file = find_file(files, sibling(metadata.layout.name, name));
    check_regions(file->layout, file->where);
  }
}

bool has_dcp_files(const CheckpointFiles& files, const CheckpointFile& metadata) {
  const std::string folder = sibling(metadata.layout.name, {});
  return std::any_of(files.files.begin(), files.files.end(), [&](const CheckpointFile& file) {
    const std::string& name = file.layout.name;
    return name.ends_with(".distcp") && name.starts_with(folder) && name.find('/', folder.size()) == std::string::npos;
  });
}

}  // namespace

StorageRegions append_torch_regions(const TorchFile& torch, std::uint64_t base, std::string_view label_prefix,
                                    FileLayout& layout) {
  std::map<std::size_t, std::string> labels;  // storage -> first tensor
  for (const TorchFile::Named& named : torch.named_tensors()) labels.try_emplace(named.tensor->storage, named.path);
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  for (const auto& [storage, label] : labels) order.emplace_back(torch.storages()[storage].offset, storage);
  std::sort(order.begin(), order.end());

  StorageRegions result;
  result.region_of_storage.resize(torch.storages().size());
  for (const auto& [offset, index] : order) {
    const TorchStorage& storage = torch.storages()[index];
    const bool complex = storage.dtype == DType::kC64 || storage.dtype == DType::kC128;
    if (storage.bytes == 0 || complex || storage.bytes % item_size(storage.dtype) != 0) continue;
    std::string label(label_prefix);
    if (!labels[index].empty()) label.append(label.empty() ? "" : ".").append(labels[index]);
    result.region_of_storage[index] = layout.regions.size();
    for (const std::uint64_t crc : storage.crc_offsets) layout.checksums.push_back({layout.regions.size(), base + crc});
    layout.regions.push_back({base + offset, storage.bytes, storage.dtype, std::move(label)});
  }
  return result;
}

CheckpointFiles read_checkpoint_files(const fs::path& path) {
  CheckpointFiles files;
  files.path = path;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) throw bad_input(path.string(), "no such file or folder");
  files.folder = fs::is_directory(status);
  if (!files.folder) {
    if (!fs::is_regular_file(status)) throw bad_input(path.string(), "neither a file nor a folder");
    const std::string name = fs::absolute(path).lexically_normal().filename().string();
    check_name(path, name);
    files.files.push_back(read_file_layout(path, name, files.notes));
    return files;
  }
  for (std::string& name : list_files(path, files.notes)) {
    files.files.push_back(read_file_layout(path / name, name, files.notes));
  }
  if (files.files.empty()) throw bad_input(path.string(), "the folder has no files", "name a checkpoint folder");
  for (const CheckpointFile& file : files.files) {
    const std::string& name = file.layout.name;
    if (name.ends_with(".safetensors.index.json") || name.ends_with(".bin.index.json")) check_shards(files, file);
    if (base_name(name) == ".metadata" && has_dcp_files(files, file)) read_dcp_folder(files, file);
  }
  return files;
}

}  // namespace kinglet
