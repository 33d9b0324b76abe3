// A file that grows record by record while a run goes on, for logs. Each append() is one write to the system, so that
// after a crash whole records stand in the file, and at most one incomplete one at its end.
#pragma once

#include <filesystem>

#include "kinglet/base/files.h"

namespace kinglet {

class AppendFile {
 public:
  explicit AppendFile(const std::filesystem::path& path);  // created when missing; raises Error (failed)
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void append(ByteView record);  // raises Error (failed)

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace kinglet
