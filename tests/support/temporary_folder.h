// A fresh folder that disappears with the object; tests that run side by side do not meet.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <unistd.h>

namespace kinglet::testing_support {

class TemporaryFolder {
 public:
  TemporaryFolder() : TemporaryFolder(std::filesystem::temp_directory_path()) {}
  // In memory where there is such a place: for tests that flush thousands of small files.
  static TemporaryFolder in_memory() {
    const bool usable = access("/dev/shm", W_OK | X_OK) == 0;
    return TemporaryFolder(usable ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path());
  }
  explicit TemporaryFolder(const std::filesystem::path& base) {
    std::string pattern = (base / "kinglet-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed for " + pattern);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace kinglet::testing_support
