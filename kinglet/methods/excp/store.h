// An ExCP store: a folder that holds the checkpoints of one run as a chain of key and delta frames.
//
//   store/manifest.json    the committed steps, replaced atomically and last (manifest.h)
//   store/steps/           one container file a step (step_file.h; byte layout in docs/excp-format.md)
//   store/reference.cache  fp32 reconstruction of the newest step; only a cache: every block is checked against the
//   hash
//                          in the newest step's file before use and decoded from the chain when it differs
//   store/lock             pid of the one writer
//
// A store is opened for reading by any number of processes, for writing by one. A crash at any byte leaves every
// committed step readable; leftovers are removed at the next open for writing. User files are never modified.
// One Store object is used by one thread at a time; its methods use all threads of base/parallel.h, show progress on a
// terminal and stop at SIGINT (check_interrupt) with nothing half-done.
// Errors: kinglet::Error; kBadInput for the user's checkpoint or arguments, kFailed for a damaged store or I/O.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/io/checkpoint.h"
#include "kinglet/methods/excp/manifest.h"
#include "kinglet/methods/excp/options.h"

namespace kinglet::excp {

// One parameter of one stored step.
struct TensorRecord {
  std::string name;
  std::vector<std::int64_t> shape;
  DType dtype = DType::kF32;  // of the weights in the user's file
  std::string coding;         // "delta", "lossless", "lossless delta"
  std::string fallback;       // why it was stored losslessly in a lossy step; empty otherwise
  double lambda = 0;          // effective; the following are 0 unless coding is "delta"
  double weight_density = 0;  // kept / n
  double moment_density = 0;
  double unchanged = 0;       // share of residuals that are exactly zero
  double squared_error = 0;   // sum over elements of (W_t - What_t)^2
  double squared_weight = 0;  // sum over elements of W_t^2
  std::uint64_t n = 0;
  std::uint64_t original_bytes = 0;  // weights and moments
  std::uint64_t stored_bytes = 0;
};

struct AddReport {
  StepInfo info;
  std::string key_reason;  // why a key frame was written; empty for deltas
  std::vector<TensorRecord> tensors;
  std::vector<std::string> warnings;
  double seconds = 0;
};

struct StepDetails {
  StepInfo info;
  std::string settings;    // how it was compressed, for people
  std::string key_reason;  // empty for deltas
  std::vector<TensorRecord> tensors;
  struct File {
    std::string name;
    std::uint64_t original_bytes = 0;
  };
  std::vector<File> files;
};

struct GetOptions {
  std::string tensor;         // only this parameter and its moments, written as one safetensors file
  bool weights_only = false;  // no optimizer files: only files that hold no moments
  bool salvage = false;       // write what verifies, NaN (or 0) elsewhere, name the rest, fail at the end
};

class Store {
 public:
  enum class Access { kRead, kWrite };
  // kWrite creates an empty store when there is none, and waits for nobody: a second writer is refused.
  static Store open(const std::filesystem::path& path, Access access);
  // Writes the manifest anew from the intact step files below `path`; returns one line for each file that was left out.
  static std::vector<std::string> rebuild_manifest(const std::filesystem::path& path);

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  const std::filesystem::path& path() const;
  const std::vector<StepInfo>& steps() const;  // ascending
  bool contains(std::int64_t step) const;
  const StepInfo& find(std::int64_t step) const;  // raises Error (bad input) naming the neighbours

  // Compresses one checkpoint. `step` must be greater than the newest one. `verify`: read back, decode, compare hashes
  // before the step is committed.
  AddReport add(const Checkpoint& checkpoint, std::int64_t step, const Options& options, bool verify = false);

  // Writes the step's files in the user's own layout below `out` (a new folder, or a new file for single-file
  // checkpoints); atomic: `out` appears complete or not at all. Raises Error (bad input) when `out` exists.
  // Returns the problems that `salvage` went on with; empty when everything verified.
  std::vector<std::string> get(std::int64_t step, const std::filesystem::path& out,
                               const GetOptions& options = {}) const;

  struct VerifyReport {
    std::int64_t step = 0;
    bool ok = true;
    std::string problem;
  };
  // Decodes one step (with what it needs of the chain) or all of them; never raises for damage.
  std::vector<VerifyReport> verify(std::optional<std::int64_t> step = {}) const;

  StepDetails details(std::int64_t step) const;

  // Keeps `retained` and whatever they need; removes the rest and the cache. Returns the removed steps.
  std::vector<std::int64_t> collect_garbage(const std::vector<std::int64_t>& retained);
  // Turns `step` into a key frame (its reconstruction, flagged lossy when it was); its children stay valid.
  void rebase(std::int64_t step);

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kinglet::excp
