// A folder that appears complete or not at all: filled under a temporary name beside its place, then renamed. The files
// in it are flushed by whoever writes them (AtomicFile::commit).
#pragma once

#include <filesystem>

namespace kinglet {

class AtomicFolder {
 public:
  explicit AtomicFolder(std::filesystem::path path);  // raises Error when it cannot be created
  ~AtomicFolder();                                    // removes what was not moved into place
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const std::filesystem::path& temporary() const { return temporary_; }
  void commit();                                        // the folder becomes `path`, where nothing is
  void commit_replacing();                              // also where a folder is: the two change places at once
  void commit_only(const std::filesystem::path& name);  // this file of it becomes `path`; the rest is dropped

 private:
  void move_into_place(const std::filesystem::path& from) const;

  std::filesystem::path path_, temporary_;
};

}  // namespace kinglet
