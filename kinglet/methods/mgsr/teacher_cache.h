// A teacher's log-probabilities of the data's responses in a file, so that runs on the data alone need no teacher.
//
//   bytes 0..7    "KNGLTLOG"
//   u32 version = 1, u32 top_k (0: all classes), u64 vocabulary, u64 examples, u64 rows
//   u64 hash of the examples' tokens, u64 hash of the teacher's weights
//   u64 starts[examples + 1]: the first row of each example; an example that was left out has no rows
//   u64 XXH3 of all bytes before
//   rows, one behind the other: f16 log p [vocabulary], or, with top_k: u32 class [top_k], f16 log p [top_k],
//                               f32 log of the mass of all other classes
//   u64 XXH3 of the rows
//
// Numbers are little-endian. Of the classes that top_k leaves out each gets an equal part of their mass.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/methods/mgsr/instruction_data.h"
#include "kinglet/methods/mgsr/teacher_rows.h"
#include "kinglet/models/decoder/decoder.h"

namespace kinglet::mgsr {

std::uint64_t hash_of_examples(const std::vector<Example>& examples);
std::uint64_t hash_of_weights(const Decoder& model);

// Bytes of a cache's row.
std::uint64_t bytes_of_row(std::int64_t vocabulary, std::int64_t top_k);

// Writes the cache of the examples named in `numbers` (ascending) atomically, `batch` at a time, with a progress bar.
void write_teacher_cache(const std::filesystem::path& path, Decoder& teacher, const std::vector<Example>& examples,
                         const std::vector<std::int64_t>& numbers, std::int64_t vocabulary, std::int64_t top_k,
                         std::int64_t batch);

class TeacherCache {
 public:
  // Raises Error (bad input) for a file that is damaged, or of other examples or another vocabulary.
  TeacherCache(const std::filesystem::path& path, const std::vector<Example>& examples, std::int64_t vocabulary);

  bool has(std::int64_t example) const;
  std::uint64_t teacher_hash() const { return teacher_hash_; }
  std::int64_t top_k() const { return top_k_; }

  // The rows of responses of the data, one example behind the other. The cache must outlive them. Raises Error (bad
  // input) for an example that is not in the file.
  std::unique_ptr<TeacherRows> rows(const std::vector<Example>& examples) const;

 private:
  friend class CachedTeacherRows;
  at::Tensor logits_of(const std::vector<std::int64_t>& rows) const;

  std::filesystem::path path_;
  MappedFile file_;
  std::int64_t vocabulary_ = 0, top_k_ = 0;
  std::uint64_t teacher_hash_ = 0;
  std::vector<std::uint64_t> starts_;
  ByteView data_;
};

}  // namespace kinglet::mgsr
