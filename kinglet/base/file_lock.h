// One process at a time: an advisory lock on a file, released by the kernel when its process ends, however it ends.
// The file holds the pid of the owner, for the message that a second one gets.
#pragma once

#include <filesystem>
#include <string_view>

namespace kinglet {

class FileLock {
 public:
  // Raises Error (failed) when another process holds the lock; waits for nobody. `what` is for that message: "store".
  FileLock(const std::filesystem::path& path, std::string_view what);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace kinglet
