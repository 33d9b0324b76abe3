// The state dicts and optimizer states inside a checkpoint's files: a whole file may be a state dict, or hold several
// under keys such as "model_state_dict" and "optimizer_state_dict".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kinglet/io/checkpoint_layout.h"

namespace kinglet {

// A tensor that may become part of a parameter.
struct ArrayRef {
  std::vector<std::int64_t> shape;
  DType dtype = DType::kF32;
  std::optional<RegionRef> region;  // nothing: the tensor is not the whole of a region in row-major order
};

struct WeightTensor {
  std::string name;
  ArrayRef array;
};

// A model's tensors: float, not empty, no buffers, shared ones once.
struct WeightSource {
  std::string file;           // name of its (first) file in the checkpoint
  std::string where;          // for messages
  int rank = 0;               // lower: more likely the model that is trained
  bool module_order = false;  // `tensors` are in the order of the modules, as torch.save keeps them
  std::vector<WeightTensor> tensors;
};

// What an optimizer keeps for one parameter.
struct OptimizerEntry {
  std::string name;  // if the optimizer keeps names
  std::optional<ArrayRef> first_moment;
  std::optional<ArrayRef> second_moment;
  std::optional<ArrayRef> max_second_moment;
  bool momentum_only = false;  // SGD or Lion
  std::string other_state;     // tensors of no known role, for a note
};

struct OptimizerSource {
  std::string file;
  std::string where;
  std::vector<std::vector<OptimizerEntry>> groups;  // param_groups in order
};

struct StateDicts {
  std::vector<WeightSource> weights;        // ascending by rank
  std::vector<OptimizerSource> optimizers;  // in file order
};

StateDicts find_state_dicts(const CheckpointFiles& files);

// The tensor of `file` as an array; used for formats with their own layout.
ArrayRef array_of(const CheckpointFile& file, std::size_t file_index, const TorchTensor& tensor);

// The whole storage of a flat tensor that begins with it, its padding included.
ArrayRef storage_array(const CheckpointFile& file, std::size_t file_index, const TorchTensor& tensor);

// The pairs of a dict, or of an OrderedDict or other object that was filled with items.
std::vector<std::pair<const PickleValue*, const PickleValue*>> dict_items(const PickleValue* value);
// The value of a string key in such a dict; nullptr when there is none.
const PickleValue* dict_find(const PickleValue* value, std::string_view key);

}  // namespace kinglet
