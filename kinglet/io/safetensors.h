// safetensors: reading through a memory map without copies, sharded models, and writing.
//
// Layout: u64 little-endian header length | JSON header (may be padded with blanks) | data. The reader enforces every
// rule of the format: length within the file and <= 100 MB, an object at top level, no duplicate keys, known dtypes,
// shapes that do not overflow, byte ranges that match shape x dtype and tile the data section without hole or overlap.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/io/tensor_view.h"

namespace kinglet {

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  // offsets from the start of the FILE, not of the data section
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::uint64_t header_bytes = 0;               // 8 + JSON length: where the data section starts
  std::map<std::string, std::string> metadata;  // "__metadata__"
  std::vector<SafetensorsEntry> entries;        // ascending by begin
};

// Parses and checks a whole file's bytes. `where` names the file in errors. Raises Error (bad input).
SafetensorsHeader parse_safetensors(ByteView file, std::string_view where);

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const SafetensorsHeader& header() const { return header_; }
  const MappedFile& file() const { return file_; }
  std::vector<TensorView> tensors() const;  // in file order; views live as long as this object

 private:
  MappedFile file_;
  SafetensorsHeader header_;
};

// Writes atomically, tensors in the given order, header padded with blanks so that data starts at a multiple of 64.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

// `*.safetensors.index.json`: tensor name -> shard file name. Shard names are checked (no path parts) and every listed
// tensor must be in its shard.
struct ShardIndex {
  std::map<std::string, std::string> weight_map;
  std::uint64_t total_size = 0;  // 0 when the index does not say
};
ShardIndex read_shard_index(const std::filesystem::path& path);

// The shards named by an index, or the one file, of a model folder ("model.safetensors" or its index), or a file path.
std::vector<std::filesystem::path> find_safetensors_files(const std::filesystem::path& model);

}  // namespace kinglet
