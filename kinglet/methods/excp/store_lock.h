// One writer a store: an advisory lock on store/lock, released by the kernel when its process ends, however it ends.
// The file holds the pid of the writer, for the message that a second one gets.
#pragma once

#include <filesystem>

namespace kinglet::excp {

class StoreLock {
 public:
  // Raises Error (failed) when another process holds the lock; waits for nobody.
  explicit StoreLock(const std::filesystem::path& path);
  ~StoreLock();
  StoreLock(const StoreLock&) = delete;
  StoreLock& operator=(const StoreLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace kinglet::excp
