// Files: atomic writing, read-only and read-write memory maps, whole-file reads.
//
// Atomic writing: bytes go to `path.tmp.<pid>.<n>` in the same directory; commit() does fsync(file), rename,
// fsync(directory). Until commit() returns, the old file (or its absence) is untouched; a crash leaves at most
// a temporary file. Errors raise kinglet::Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();  // removes the temporary file unless committed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(ByteView bytes);                          // at the end; buffered writes of any size
  void write_at(std::uint64_t offset, ByteView bytes);  // pwrite; thread-safe for disjoint ranges
  void resize(std::uint64_t bytes);                     // reserves the space, so that a full disk shows early
  std::uint64_t size() const { return size_; }
  void commit();

  const std::filesystem::path& temporary_path() const { return temporary_path_; }
  int descriptor() const { return descriptor_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  bool committed_ = false;
};

void write_file_atomically(const std::filesystem::path& path, ByteView bytes);
void sync_directory(const std::filesystem::path& directory);

// Temporary files of dead processes (`*.tmp.<pid>.<n>`) directly inside `directory`; returns how many it removed.
int remove_stale_temporary_files(const std::filesystem::path& directory);

// A whole file, read-only. The mapping outlives the object only through bytes() of a live object.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  ByteView bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }
  void advise_sequential() const;
  // Lets the kernel drop these pages from this process's resident set (they stay in the page cache).
  void release(std::uint64_t offset, std::uint64_t length) const;

 private:
  std::filesystem::path path_;
  ByteView bytes_;
};

// A shared read-write mapping of `size` bytes; the file is created or resized to that size.
// Not atomic: only for caches whose content is checked by hashes before use, and for a file under AtomicFile.
class WritableMap {
 public:
  WritableMap() = default;
  WritableMap(const std::filesystem::path& path, std::uint64_t size);
  WritableMap(int descriptor, std::uint64_t size);  // maps an open file that already has this size
  ~WritableMap();
  WritableMap(WritableMap&& other) noexcept;
  WritableMap& operator=(WritableMap&& other) noexcept;

  std::span<std::byte> bytes() const { return bytes_; }
  void release(std::uint64_t offset, std::uint64_t length) const;  // as MappedFile::release

 private:
  std::span<std::byte> bytes_;
};

Bytes read_file(const std::filesystem::path& path, std::uint64_t limit = std::uint64_t{1} << 32);

// Joins a relative name from an untrusted file below `root`; refuses absolute names, "..", NUL and empty parts.
std::filesystem::path join_untrusted(const std::filesystem::path& root, std::string_view name);

}  // namespace kinglet
