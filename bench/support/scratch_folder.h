// A folder for the files of one run of a benchmark, removed at its end.
#pragma once

#include <filesystem>
#include <string>

#include <unistd.h>

namespace kinglet::bench {

class ScratchFolder {
 public:
  // Below `parent`, or below the system's folder for temporary files when it is empty.
  explicit ScratchFolder(const std::filesystem::path& parent = {}) {
    const std::filesystem::path root = parent.empty() ? std::filesystem::temp_directory_path() : parent;
    path_ = root / ("kinglet-bench-" + std::to_string(::getpid()));
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace kinglet::bench
