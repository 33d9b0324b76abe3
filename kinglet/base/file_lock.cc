#include "kinglet/base/file_lock.h"

#include <array>
#include <cerrno>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "kinglet/base/error.h"

namespace kinglet {

FileLock::FileLock(const std::filesystem::path& path, std::string_view what) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw system_error(path.string(), "cannot open the lock", errno);
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    std::array<char, 32> pid{};
    const ssize_t length = ::pread(descriptor_, pid.data(), pid.size() - 1, 0);
    ::close(descriptor_);
    if (error != EWOULDBLOCK) throw system_error(path.string(), "cannot lock", error);
    std::string owner(pid.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    owner.erase(owner.find_last_not_of('\n') + 1);
    throw failed(
        path.string(),
        fmt::format("another process{} is writing to this {}", owner.empty() ? "" : " (pid " + owner + ")", what),
        "wait for it or stop it");
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  const bool written = ::ftruncate(descriptor_, 0) == 0 &&
                       ::pwrite(descriptor_, pid.data(), pid.size(), 0) == static_cast<ssize_t>(pid.size());
  static_cast<void>(written);  // the pid is only for people; a full disk must not forbid `gc`
}

FileLock::~FileLock() { ::close(descriptor_); }

}  // namespace kinglet
