// An ExCP store: a folder that holds the checkpoints of one run as a chain of key and delta frames.
//
//   store/manifest.json   the committed steps, replaced atomically and last
//   store/steps/          one container file a step (step_file.h; byte layout in docs/excp-format.md)
//   store/reference.cache fp32 reconstruction of the newest step; only a cache: every block is checked against the hash
//                         in the newest step's file before use and decoded from the chain when it differs
//   store/lock            pid of the one writer
//
// A store is opened for reading by any number of processes, for writing by one. A crash at any byte leaves every
// committed step readable; leftovers are removed at the next open for writing. User files are never modified.
// Errors: kinglet::Error; kBadInput for the user's checkpoint, kFailed for a damaged store or I/O.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/io/checkpoint.h"
#include "kinglet/methods/excp/manifest.h"
#include "kinglet/methods/excp/options.h"

namespace kinglet::excp {

struct AddReport {
  StepInfo info;
  std::string key_reason;  // why a key frame was written; empty for deltas
  struct Tensor {
    std::string name;
    std::uint64_t n = 0;
    double lambda = 0;
    double weight_density = 0;  // kept / n
    double moment_density = 0;
    std::uint64_t original_bytes = 0;
    std::uint64_t stored_bytes = 0;
    std::string fallback;  // why it was stored losslessly; empty otherwise
  };
  std::vector<Tensor> tensors;
  std::vector<std::string> warnings;
  double seconds = 0;
};

struct GetOptions {
  std::string tensor;         // only this parameter, written as one safetensors file
  bool weights_only = false;  // no optimizer files
  bool salvage = false;       // write what verifies, list what does not, fail at the end
};

class Store {
 public:
  enum class Access { kRead, kWrite };
  static Store open(const std::filesystem::path& path, Access access);  // kWrite creates an empty store
  Store(Store&&) noexcept;
  ~Store();

  const std::vector<StepInfo>& steps() const;  // ascending
  const StepInfo& find(std::int64_t step) const;

  // Compresses one checkpoint. `step` must be greater than the newest one. `verify`: read back, decode, compare hashes
  // before the step is committed.
  AddReport add(const Checkpoint& checkpoint, std::int64_t step, const Options& options, bool verify = false);

  // Writes the step's files in the user's own layout below `out` (a new folder, or a new file for single-file
  // checkpoints); atomic: `out` appears complete or not at all.
  void get(std::int64_t step, const std::filesystem::path& out, const GetOptions& options = {}) const;

  struct VerifyReport {
    std::int64_t step = 0;
    bool ok = true;
    std::string problem;
  };
  std::vector<VerifyReport> verify(std::optional<std::int64_t> step = {}) const;

  struct TensorRecord {
    std::string name;
    std::vector<std::int64_t> shape;
    std::string coding;  // "delta", "lossless", "lossless delta"
    double lambda = 0;
    double weight_density = 0;
    double moment_density = 0;
    std::uint64_t original_bytes = 0;
    std::uint64_t stored_bytes = 0;
  };
  std::vector<TensorRecord> tensors(std::int64_t step) const;

  // Keeps `retained` and whatever they need; removes the rest. Returns the removed steps.
  std::vector<std::int64_t> collect_garbage(const std::vector<std::int64_t>& retained);
  // Turns `step` into a key frame (its reconstruction, flagged lossy when it was) and re-parents its children.
  void rebase(std::int64_t step);

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kinglet::excp
