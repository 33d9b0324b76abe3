// Files that a target writes and reads back: writers of the house write to paths, which costs more than all the rest.
// Set TMPDIR to a memory file system for long runs.
#pragma once

#include <filesystem>

#include "tests/support/temporary_folder.h"

#include "kinglet/base/hash.h"

namespace kinglet::fuzz {

// One input in 32 is written; the same ones in every run.
inline bool is_written(ByteView input) { return xxh3(input) % 32 == 0; }

inline const std::filesystem::path& scratch_file() {
  static const testing_support::TemporaryFolder folder;
  static const std::filesystem::path path = folder / "archive";
  return path;
}

}  // namespace kinglet::fuzz
