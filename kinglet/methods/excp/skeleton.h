// A file's bytes outside its coded regions, as one sequence cut into chunks: headers, pickles, whole opaque files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/methods/excp/step_index.h"

namespace kinglet::excp {

class Skeleton {
 public:
  // regions: ascending and disjoint, with `offset` and `bytes` (Region or StoredRegion).
  template <typename Regions>
  Skeleton(std::uint64_t file_size, const Regions& regions) {
    std::uint64_t at = 0;
    for (const auto& region : regions) {
      add_gap(at, region.offset - at);
      at = region.offset + region.bytes;
    }
    add_gap(at, file_size - at);
  }

  std::uint64_t bytes() const { return bytes_; }
  std::size_t chunk_count() const { return static_cast<std::size_t>((bytes_ + kChunkBytes - 1) / kChunkBytes); }
  std::uint64_t chunk_size(std::size_t chunk) const { return std::min(kChunkBytes, bytes_ - chunk * kChunkBytes); }

  // body(offset in the file, offset in the chunk, length) for the pieces of one chunk, in order.
  template <typename Body>
  void for_each_piece(std::size_t chunk, const Body& body) const {
    const std::uint64_t begin = chunk * kChunkBytes, end = begin + chunk_size(chunk);
    auto gap = std::upper_bound(gaps_.begin(), gaps_.end(), begin,
                                [](std::uint64_t at, const Gap& other) { return at < other.begin; });
    for (--gap; gap != gaps_.end() && gap->begin < end; ++gap) {
      const std::uint64_t first = std::max(begin, gap->begin), last = std::min(end, gap->begin + gap->length);
      body(gap->file_offset + (first - gap->begin), first - begin, last - first);
    }
  }

  Bytes gather(ByteView file, std::size_t chunk) const {
    Bytes bytes(chunk_size(chunk));
    for_each_piece(chunk, [&](std::uint64_t from, std::uint64_t to, std::uint64_t length) {
      std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(from), length,
                  bytes.begin() + static_cast<std::ptrdiff_t>(to));
    });
    return bytes;
  }

 private:
  struct Gap {
    std::uint64_t begin = 0;  // in the sequence
    std::uint64_t file_offset = 0;
    std::uint64_t length = 0;
  };

  void add_gap(std::uint64_t file_offset, std::uint64_t length) {
    if (length == 0) return;
    gaps_.push_back({bytes_, file_offset, length});
    bytes_ += length;
  }

  std::vector<Gap> gaps_;
  std::uint64_t bytes_ = 0;
};

}  // namespace kinglet::excp
