#include "kinglet/base/files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

std::atomic<unsigned> g_temporary_counter{0};

void write_fully(int descriptor, ByteView bytes, std::uint64_t offset, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw system_error(path.string(), "cannot write", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

std::uint64_t file_size_of(int descriptor, const fs::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw system_error(path.string(), "cannot read", errno);
  if (!S_ISREG(status.st_mode)) throw bad_input(path.string(), "not a regular file");
  return static_cast<std::uint64_t>(status.st_size);
}

// Drops whole pages inside [offset, offset + length) of a mapping from the resident set.
void release_pages(std::byte* base, std::uint64_t size, std::uint64_t offset, std::uint64_t length) {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t begin = (std::min(offset, size) + page - 1) / page * page;
  const std::uint64_t end = std::min(offset + length, size) / page * page;
  if (begin < end) ::madvise(base + begin, end - begin, MADV_DONTNEED);
}

std::byte* map_descriptor(int descriptor, std::uint64_t size, int protection, const fs::path& path) {
  if (size == 0) return nullptr;
  void* address = ::mmap(nullptr, size, protection, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) throw system_error(path.string(), "cannot map", errno);
  return static_cast<std::byte*>(address);
}

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, const char* what)
      : value_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (value_ < 0) throw system_error(path.string(), what, errno);
  }
  ~Descriptor() { ::close(value_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int value() const { return value_; }

 private:
  int value_;
};

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  temporary_path_ = path_;
  temporary_path_ += fmt::format(".tmp.{}.{}", ::getpid(), g_temporary_counter++);
  descriptor_ = ::open(temporary_path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw system_error(path_.string(), "cannot create", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!committed_) ::unlink(temporary_path_.c_str());
}

void AtomicFile::append(ByteView bytes) {
  write_fully(descriptor_, bytes, size_, path_);
  size_ += bytes.size();
}

void AtomicFile::write_at(std::uint64_t offset, ByteView bytes) { write_fully(descriptor_, bytes, offset, path_); }

void AtomicFile::resize(std::uint64_t bytes) {
  if (bytes > size_) {
    // posix_fallocate makes a full disk show here instead of as a SIGBUS or an error much later.
    const int error = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(bytes));
    if (error != 0) throw system_error(path_.string(), "cannot reserve space", error);
  } else if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) {
    throw system_error(path_.string(), "cannot resize", errno);
  }
  size_ = bytes;
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) throw system_error(path_.string(), "cannot flush to disk", errno);
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) {
    throw system_error(path_.string(), "cannot move into place", errno);
  }
  committed_ = true;
  const fs::path parent = path_.parent_path();
  sync_directory(parent.empty() ? fs::path(".") : parent);
}

void write_file_atomically(const fs::path& path, ByteView bytes) {
  AtomicFile file(path);
  file.append(bytes);
  file.commit();
}

void sync_directory(const fs::path& directory) {
  const Descriptor descriptor(directory, O_RDONLY | O_DIRECTORY, "cannot open folder");
  // Some file systems cannot fsync a folder (EINVAL); they give no stronger guarantee to ask for.
  if (::fsync(descriptor.value()) != 0 && errno != EINVAL) {
    throw system_error(directory.string(), "cannot flush folder to disk", errno);
  }
}

int remove_stale_temporary_files(const fs::path& directory) {
  int removed = 0;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    const std::size_t mark = name.rfind(".tmp.");
    if (mark == std::string::npos) continue;
    const char* begin = name.data() + mark + 5;
    const char* end = name.data() + name.size();
    int pid = 0;
    const auto [after, error] = std::from_chars(begin, end, pid);
    if (error != std::errc() || after == end || *after != '.' || pid <= 0) continue;
    const bool alive = ::kill(pid, 0) == 0 || errno == EPERM;
    if (!alive && fs::remove_all(entry.path(), ignored) > 0) ++removed;
  }
  return removed;
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const Descriptor descriptor(path, O_RDONLY, "cannot open");
  const std::uint64_t size = file_size_of(descriptor.value(), path);
  bytes_ = {map_descriptor(descriptor.value(), size, PROT_READ, path), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void MappedFile::advise_sequential() const {
  if (!bytes_.empty()) ::madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_SEQUENTIAL);
}

void MappedFile::release(std::uint64_t offset, std::uint64_t length) const {
  release_pages(const_cast<std::byte*>(bytes_.data()), bytes_.size(), offset, length);
}

WritableMap::WritableMap(const fs::path& path, std::uint64_t size) {
  const Descriptor descriptor(path, O_RDWR | O_CREAT, "cannot open");
  if (file_size_of(descriptor.value(), path) != size) {
    if (::ftruncate(descriptor.value(), static_cast<off_t>(size)) != 0) {
      throw system_error(path.string(), "cannot resize", errno);
    }
    // Without reserved space a full disk would kill the process with SIGBUS at the first touch of a page.
    const int error = size > 0 ? ::posix_fallocate(descriptor.value(), 0, static_cast<off_t>(size)) : 0;
    if (error != 0) throw system_error(path.string(), "cannot reserve space", error);
  }
  bytes_ = {map_descriptor(descriptor.value(), size, PROT_READ | PROT_WRITE, path), size};
}

WritableMap::WritableMap(int descriptor, std::uint64_t size)
    : bytes_(map_descriptor(descriptor, size, PROT_READ | PROT_WRITE, "file"), size) {}

WritableMap::~WritableMap() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

WritableMap::WritableMap(WritableMap&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

WritableMap& WritableMap::operator=(WritableMap&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

void WritableMap::release(std::uint64_t offset, std::uint64_t length) const {
  release_pages(bytes_.data(), bytes_.size(), offset, length);
}

Bytes read_file(const fs::path& path, std::uint64_t limit) {
  const MappedFile file(path);
  if (file.bytes().size() > limit) {
    throw bad_input(path.string(),
                    fmt::format("file of {} bytes is larger than the limit of {}", file.bytes().size(), limit));
  }
  return {file.bytes().begin(), file.bytes().end()};
}

fs::path join_untrusted(const fs::path& root, std::string_view name) {
  const auto refuse = [&](std::string_view why) {
    return bad_input(name, fmt::format("unsafe file name: {}", why), "the file that names it is damaged or hostile");
  };
  if (name.empty()) throw refuse("empty");
  if (name.front() == '/') throw refuse("absolute path");
  if (name.find('\0') != std::string_view::npos) throw refuse("NUL character");
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") throw refuse("path part that is empty, '.' or '..'");
    begin = end + 1;
  }
  return root / fs::path(name);
}

}  // namespace kinglet
