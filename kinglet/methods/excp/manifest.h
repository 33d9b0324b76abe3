// The list of committed steps of a store: manifest.json, replaced atomically and last.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kinglet::excp {

struct StepInfo {
  std::int64_t step = 0;
  bool key = false;
  bool lossy = false;  // what `get` returns differs from what was added
  std::optional<std::int64_t> parent;
  std::uint64_t original_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::string file;        // relative to the store
  std::uint64_t hash = 0;  // of the container's index, which pins every payload
};

// Raises Error (failed) when the manifest is damaged. A store without a manifest has no steps.
std::vector<StepInfo> read_manifest(const std::filesystem::path& store);
void write_manifest(const std::filesystem::path& store, const std::vector<StepInfo>& steps);

}  // namespace kinglet::excp
