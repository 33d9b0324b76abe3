// What one step's container holds, and where: the parsed form of the container's index.
// Byte layout: docs/excp-format.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/io/checkpoint.h"
#include "kinglet/io/dtype.h"
#include "kinglet/methods/excp/delta_frame.h"

namespace kinglet::excp {

// A losslessly coded flat array, in blocks of kBlockElements.
struct StoredArray {
  DType dtype = DType::kU8;  // of the stored elements
  std::uint64_t n = 0;
  bool predicted = false;    // differences to the parent's reconstruction
  std::uint64_t offset = 0;  // of the first block's payload in the container
  struct Block {
    std::uint32_t length = 0;
    std::uint64_t payload_hash = 0;  // XXH3 of the coded bytes
    std::uint64_t content_hash = 0;  // XXH3 of the fp32 reconstruction for weights, of the elements' bytes otherwise
  };
  std::vector<Block> blocks;
};

// Whether differences to a reconstruction, rounded to this type, are taken.
inline bool is_predictable(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// A piece of a file's bytes outside the coded regions.
struct StoredChunk {
  std::uint64_t offset = 0;        // in the container
  std::uint64_t length = 0;        // coded
  std::uint64_t size = 0;          // original
  std::uint64_t hash = 0;          // XXH3 of the original bytes
  std::uint64_t payload_hash = 0;  // XXH3 of the coded bytes
  bool after_parent = false;       // coded with the parent's bytes of the same chunk as context
};

inline constexpr std::uint64_t kChunkBytes = std::uint64_t{16} << 20;

struct StoredRegion {
  std::uint64_t offset = 0;  // in the user's file
  std::uint64_t bytes = 0;
  DType dtype = DType::kU8;          // in the user's file
  std::optional<StoredArray> array;  // nothing: the region is a stream of a delta-coded parameter
  std::string label;                 // of arrays that belong to no parameter
};

struct StoredFile {
  std::string name;
  std::uint64_t size = 0;
  std::vector<StoredRegion> regions;      // ascending, disjoint
  std::vector<RegionChecksum> checksums;  // CRC-32 fields that are brought up to date after a restore
  std::vector<StoredChunk> chunks;        // everything else, in order
  std::uint64_t skeleton_bytes() const;   // size minus regions
};

struct StoredParameter {
  std::string name;
  std::vector<std::int64_t> shape;
  std::uint64_t n = 0;
  std::array<std::optional<RegionRef>, kStreams> regions;  // weight, exp_avg, exp_avg_sq, max_exp_avg_sq
  std::optional<DeltaFrame> frame;                         // nothing: every region is an array
  std::uint64_t payload_offset = 0;                        // of the frame's first block
  std::string fallback;                                    // why it was stored losslessly in a lossy step
  bool has_reference = true;  // weights are floating point, so later steps can refer to them
};

struct StepIndex {
  std::int64_t step = 0;
  std::optional<std::int64_t> parent;
  std::uint64_t parent_content = 0;  // content_hash of the parent
  bool lossy = false;
  bool is_folder = true;
  std::string settings;    // how it was compressed, for people
  std::string key_reason;  // empty for deltas
  std::vector<StoredFile> files;
  std::vector<StoredParameter> parameters;
  bool is_key() const { return !parent.has_value(); }

  const StoredRegion& region(RegionRef ref) const { return files[ref.file].regions[ref.region]; }
  std::uint64_t original_bytes() const;
  std::uint64_t stored_bytes(const StoredParameter& parameter) const;
};

// XXH3 of block `block` of the fp32 reconstruction of a parameter with has_reference.
std::uint64_t reference_hash(const StepIndex& index, const StoredParameter& parameter, std::uint64_t block);
// What children depend on: names, reconstruction and skeletons. The same for any coding of the same content.
std::uint64_t content_hash(const StepIndex& index);

void append_index(const StepIndex& index, Bytes& out);
// Checks every number against the others and against `payload_end`, the length of the container's payload area.
StepIndex parse_index(ByteView bytes, std::uint64_t payload_end, std::string_view where);

}  // namespace kinglet::excp
