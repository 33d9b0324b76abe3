#include "kinglet/base/atomic_folder.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"

namespace kinglet {
namespace fs = std::filesystem;

AtomicFolder::AtomicFolder(fs::path path) : path_(std::move(path)) {
  const fs::path parent = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  temporary_ = parent / fmt::format("{}.tmp.{}.0", path_.filename().string(), ::getpid());
  std::error_code error;
  fs::remove_all(temporary_, error);
  fs::create_directories(temporary_, error);
  if (error) throw system_error(path_.string(), "cannot create the folder", error.value());
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);  // after commit() it is no longer there
}

void AtomicFolder::commit() { move_into_place(temporary_); }
void AtomicFolder::commit_replacing() {
  if (!fs::exists(path_)) return commit();
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) != 0) {
    throw system_error(path_.string(), "cannot replace the folder", errno);
  }
  sync_directory(temporary_.parent_path());
}
void AtomicFolder::commit_only(const fs::path& name) { move_into_place(temporary_ / name); }

void AtomicFolder::move_into_place(const fs::path& from) const {
  std::error_code error;
  fs::rename(from, path_, error);
  if (error) throw system_error(path_.string(), "cannot move into place", error.value());
  sync_directory(temporary_.parent_path());
}

}  // namespace kinglet
