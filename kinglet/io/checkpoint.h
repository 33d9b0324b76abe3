// A training checkpoint as one object: a folder (Hugging Face Trainer, accelerate, DCP, DeepSpeed, plain torch.save
// files) or a single file, seen as files made of numeric regions plus everything else, and as parameters whose
// weights and Adam moments are paired by verified names.
//
// A file is a sequence of bytes in which some ranges, the regions, are flat arrays of numbers (the data of a
// safetensors tensor, a torch storage). Whoever keeps the bytes outside the regions (headers, pickles, padding)
// verbatim and puts arrays of the same length back into the regions has rebuilt the user's file exactly, whatever
// its format; checksums that a format keeps over a region are listed so that they can be brought up to date.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/io/dtype.h"
#include "kinglet/io/number_array.h"

namespace kinglet {

struct Region {
  std::uint64_t offset = 0;  // in the file
  std::uint64_t bytes = 0;   // a multiple of item_size(dtype)
  DType dtype = DType::kU8;
  std::string label;  // for people: tensor name or path inside the pickle
};

struct RegionChecksum {
  std::size_t region = 0;    // index into FileLayout::regions
  std::uint64_t offset = 0;  // a CRC-32 (u32 little-endian) of the region's bytes stands here
};

struct FileLayout {
  std::string name;  // path relative to the checkpoint folder, '/' separated; never absolute
  std::uint64_t size = 0;
  std::vector<Region> regions;  // ascending, disjoint; empty for files kept verbatim
  std::vector<RegionChecksum> checksums;
};

struct RegionRef {
  std::size_t file = 0;
  std::size_t region = 0;
  auto operator<=>(const RegionRef&) const = default;
};

enum class OptimizerKind { kNone, kAdam, kAdamAmsgrad, kMomentum /* SGD momentum, Lion: one moment */, kOther };

// One trained tensor. Every region belongs to at most one parameter. Element i of each region belongs together.
struct Parameter {
  std::string name;
  std::vector<std::int64_t> shape;
  RegionRef weight;
  std::optional<RegionRef> first_moment;       // exp_avg (or momentum_buffer)
  std::optional<RegionRef> second_moment;      // exp_avg_sq
  std::optional<RegionRef> max_second_moment;  // max_exp_avg_sq (AMSGrad)
};

struct CheckpointOptions {
  std::filesystem::path parameter_order;  // file with one parameter name a line, for optimizers without names
  bool trust_order = false;               // do not run the statistical self-check of the pairing
};

// The step that the name of a checkpoint tells: folders such as "checkpoint-500", "global_step500", "iter_0000500";
// files such as "model-500.pt", "ckpt_500.pth".
std::optional<std::int64_t> step_of_checkpoint_name(const std::filesystem::path& path, bool folder);

class Checkpoint {
 public:
  // Raises Error (bad input) on a damaged file, on an optimizer whose shapes cannot be paired with the weights, and on
  // a pairing that fails the self-check.
  static Checkpoint open(const std::filesystem::path& path, const CheckpointOptions& options = {});

  const std::filesystem::path& path() const;
  bool is_folder() const;                        // false: files()[0] is the path itself
  const std::vector<FileLayout>& files() const;  // sorted by name
  ByteView bytes(const FileLayout& file) const;  // the mapped file
  ByteView bytes(RegionRef region) const;
  NumberArray numbers(RegionRef region) const;
  const MappedFile& mapping(std::size_t file) const;

  const std::vector<Parameter>& parameters() const;  // in optimizer order where there is one, else file order
  OptimizerKind optimizer() const;
  const std::string& pairing_rule() const;        // how weights and moments were matched, for people; may be empty
  std::optional<std::int64_t> step() const;       // trainer_state.json, folder name "checkpoint-N", "global_stepN"
  const std::vector<std::string>& notes() const;  // what could not be understood, for the user

  // Compares the direction of the step between two checkpoints with -exp_avg/(sqrt(exp_avg_sq)+eps): weights that move
  // along the moments given to another tensor of the same shape, and not along their own, are paired wrongly (the exact
  // rule: pairing_check.h). Parameters of fewer than 16384 elements are not judged.
  // Raises Error when the pairing fails; a no-op with trust_order.
  void check_pairing_against(const Checkpoint& previous) const;
  // The same against weights from elsewhere: `weight_before` gives a parameter's earlier values, or nothing.
  void check_pairing(const std::function<std::optional<NumberArray>(const Parameter&)>& weight_before) const;

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kinglet
