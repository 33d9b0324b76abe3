// From files to regions: what a folder or a single file holds, before weights and moments are paired.
//
//   *.safetensors          one region a tensor
//   torch.save files       one region a storage that a tensor refers to
//   *.distcp               the same for every blob that the .metadata file beside it lists (dcp.h)
//   everything else        no regions: kept verbatim. training_args.bin and files of random states are not even parsed,
//                          nor are TorchScript archives
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/io/checkpoint.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/io/torch_file.h"

namespace kinglet {

// A tensor inside a torch.save file or blob, as the pairing sees it.
struct StorageRegions {
  std::vector<std::optional<std::size_t>> region_of_storage;  // index into FileLayout::regions
};

// A chunk of a distributed tensor and where its numbers are.
struct DcpArray {
  std::string name;                   // fully qualified name
  std::vector<std::int64_t> offsets;  // of the chunk in the whole tensor
  std::vector<std::int64_t> shape;    // of the chunk
  bool whole = false;                 // the only chunk of its tensor
  DType dtype = DType::kF32;
  RegionRef region;
};

struct CheckpointFile {
  FileLayout layout;
  MappedFile map;
  std::optional<SafetensorsHeader> safetensors;
  std::optional<TorchFile> torch;  // views into `map`
  StorageRegions storages;         // of `torch`

  std::string where;  // path for messages
};

struct CheckpointFiles {
  std::filesystem::path path;
  bool folder = false;
  std::vector<CheckpointFile> files;  // ascending by name
  std::vector<DcpArray> dcp;
  std::vector<std::string> notes;
};

// Raises Error (bad input) on damaged files, missing shards, names that cannot be stored.
CheckpointFiles read_checkpoint_files(const std::filesystem::path& path);

// Appends the regions of a torch.save file or blob that starts at `base` in the file of `layout`.
StorageRegions append_torch_regions(const TorchFile& torch, std::uint64_t base, std::string_view label_prefix,
                                    FileLayout& layout);

}  // namespace kinglet
