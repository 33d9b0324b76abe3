// One step's container file: header | payloads | index | footer. Byte layout: docs/excp-format.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "kinglet/base/files.h"
#include "kinglet/methods/excp/step_index.h"

namespace kinglet::excp {

// Whether the bytes begin like a container (for `kinglet inspect`).
bool is_step_file(ByteView bytes);

// Streams payloads to an atomic file; finish() writes index and footer. Nothing is visible before commit().
class StepWriter {
 public:
  explicit StepWriter(const std::filesystem::path& path);

  std::uint64_t position() const { return file_.size(); }  // where the next payload goes
  void append(ByteView payload) { file_.append(payload); }
  // Returns the hash that pins this container: XXH3 of the index, which holds the hash of every payload.
  std::uint64_t finish(const StepIndex& index);
  std::uint64_t size() const { return file_.size(); }
  const std::filesystem::path& temporary_path() const { return file_.temporary_path(); }
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
};

class StepFile {
 public:
  // Checks header, footer and index; payloads are checked when they are read. Raises Error (bad input).
  explicit StepFile(const std::filesystem::path& path);
  // The same for bytes that the caller keeps alive; for fuzzing and tests.
  StepFile(ByteView bytes, std::string where);

  const StepIndex& index() const { return index_; }
  std::uint64_t hash() const { return hash_; }
  std::uint64_t content() const { return content_; }  // content_hash(index())
  std::uint64_t size() const { return bytes_.size(); }
  const std::string& where() const { return where_; }

  ByteView delta_payload(const StoredParameter& parameter, std::uint64_t block) const;
  // Decodes block `block`; checks payload_hash, not content_hash. prediction: see decode_array_block.
  void read_array_block(const StoredArray& array, std::uint64_t block, ByteView prediction,
                        std::span<std::byte> elements) const;
  // parent: the parent's bytes of the same chunk; empty if it has none. Checks the hash.
  Bytes read_chunk(const StoredChunk& chunk, ByteView parent) const;

 private:
  void parse();

  MappedFile file_;
  ByteView bytes_;
  std::string where_;
  StepIndex index_;
  std::uint64_t hash_ = 0;
  std::uint64_t content_ = 0;
};

}  // namespace kinglet::excp
