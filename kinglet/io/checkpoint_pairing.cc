#include "kinglet/io/checkpoint_pairing.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kinglet/base/error.h"
#include "kinglet/io/dcp.h"
#include "kinglet/io/deepspeed.h"
#include "kinglet/io/file_names.h"
#include "kinglet/io/parameter_order.h"
#include "kinglet/io/state_dicts.h"

namespace kinglet {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 16u << 20;
constexpr std::size_t kNamesInNote = 3;

// "model_1.safetensors" goes with "optimizer_1.bin": accelerate numbers the models of one folder.
std::string_view number_suffix(std::string_view name) {
  const std::string_view stem = base_name(name).substr(0, base_name(name).find('.'));
  const std::size_t underscore = stem.rfind('_');
  if (underscore == std::string_view::npos || underscore + 1 == stem.size()) return {};
  const std::string_view number = stem.substr(underscore + 1);
  return number.find_first_not_of("0123456789") == std::string_view::npos ? number : std::string_view{};
}

// "a, b, c and 7 more".
std::string enumerate(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesInNote); ++i) text += (i ? ", " : "") + names[i];
  if (names.size() > kNamesInNote) text += fmt::format(" and {} more", names.size() - kNamesInNote);
  return text;
}

class Pairing {
 public:
  Pairing(const CheckpointFiles& files, const CheckpointOptions& options) : files_(files) {
    if (!options.parameter_order.empty()) {
      const Bytes text = read_file(options.parameter_order, kMaxConfigBytes);
      user_order_ = parse_parameter_order(as_text(text), options.parameter_order.string());
      if (user_order_.empty()) throw bad_input(options.parameter_order.string(), "lists no names");
    }
  }

  PairedParameters run() {
    pair_zero_vectors();
    pair_distributed();
    pair_state_dicts();
    note_unusable();
    result_.optimizer = kind();
    return std::move(result_);
  }

 private:
  // ---- common ----

  // Takes a region for a parameter; each can be taken once.
  std::optional<RegionRef> take(const std::optional<ArrayRef>& array) {
    if (!array || !array->region || !used_.insert(*array->region).second) return std::nullopt;
    return array->region;
  }

  void add(Parameter parameter, std::string_view file, const std::optional<ArrayRef>& first,
           const std::optional<ArrayRef>& second, const std::optional<ArrayRef>& max_second) {
    if (!names_.insert(parameter.name).second) {  // two models in one checkpoint
      parameter.name = fmt::format("{}:{}", base_name(file), parameter.name);
      for (int copy = 2; !names_.insert(parameter.name).second; ++copy) parameter.name += fmt::format("#{}", copy);
    }
    if (first && first->shape == parameter.shape) parameter.first_moment = take(first);
    if (parameter.first_moment && second && second->shape == parameter.shape) parameter.second_moment = take(second);
    if (parameter.second_moment && max_second && max_second->shape == parameter.shape) {
      parameter.max_second_moment = take(max_second);
    }
    if (first && !parameter.first_moment)
      unusable_.push_back(parameter.name + " (first moment)");
    else if (second && !parameter.second_moment)
      unusable_.push_back(parameter.name + " (second moment)");
    if (parameter.max_second_moment)
      ++amsgrad_;
    else if (parameter.second_moment)
      ++adam_;
    else if (parameter.first_moment)
      ++momentum_;
    result_.parameters.push_back(std::move(parameter));
  }

  void note(std::string text) { result_.notes.push_back(std::move(text)); }

  void note_unusable() {
    if (unusable_.empty()) return;
    note(fmt::format("kept without loss, because their data is shared, strided or of another shape: {}",
                     enumerate(unusable_)));
  }

  OptimizerKind kind() const {
    const int kinds = (adam_ > 0) + (amsgrad_ > 0) + (momentum_ > 0) + (other_ > 0);
    if (kinds == 0) return OptimizerKind::kNone;
    if (kinds > 1 || other_ > 0) return OptimizerKind::kOther;
    if (adam_ > 0) return OptimizerKind::kAdam;
    return amsgrad_ > 0 ? OptimizerKind::kAdamAmsgrad : OptimizerKind::kMomentum;
  }

  // ---- DeepSpeed ----

  void pair_zero_vectors() {
    for (std::size_t i = 0; i < files_.files.size(); ++i) {
      const CheckpointFile& file = files_.files[i];
      if (!file.torch) continue;
      for (const ZeroVectors& vectors : find_zero_vectors(*file.torch)) {
        const auto array = [&](const TorchTensor* tensor) -> std::optional<ArrayRef> {
          if (tensor == nullptr) return std::nullopt;
          return storage_array(file, i, *tensor);
        };
        const auto weight = array(vectors.weight);
        const std::string name = fmt::format("{}:group{}", base_name(file.layout.name), vectors.group);
        zero_files_.insert(file.layout.name);
        if (const auto region = take(weight)) {
          result_.rule = "DeepSpeed's flat vectors";
          add({name, weight->shape, *region}, file.layout.name, array(vectors.first_moment),
              array(vectors.second_moment), {});
        } else {
          unusable_.push_back(name);
        }
      }
    }
  }

  // ---- distributed checkpoints ----

  using ChunkPlace = std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>;  // offsets, shape

  void pair_distributed() {
    std::map<std::string, std::vector<const DcpArray*>> tensors;  // by full name
    for (const DcpArray& array : files_.dcp) tensors[array.name].push_back(&array);
    std::map<std::string, std::map<std::string, std::string>> states;  // owner -> component -> full name
    std::map<std::string, std::string> parameter_of;                   // owner -> name that the optimizer uses
    for (const auto& [name, chunks] : tensors) {
      const DcpKey key = split_dcp_key(name);
      if (key.component.empty()) continue;
      states[key.owner][key.component] = name;
      parameter_of[key.owner] = key.parameter;
    }
    std::set<std::string> optimizer_names;
    for (const auto& [owner, components] : states) {
      if (!components.contains("exp_avg") && !components.contains("momentum_buffer")) continue;
      for (const auto& [component, name] : components) optimizer_names.insert(name);
      const std::string weight = distributed_weight(tensors, components, parameter_of[owner]);
      if (weight.empty()) {
        note(fmt::format("{}: no weights for these moments; kept without loss", owner));
        continue;
      }
      optimizer_names.insert(weight);
      result_.rule = "names of the distributed checkpoint";
      pair_chunks(tensors, weight, parameter_of[owner], components);
    }
    for (const auto& [name, chunks] : tensors) {
      const bool step = name.ends_with(".step") || name.find("param_groups.") != std::string::npos;
      if (!optimizer_names.contains(name) && !step) pair_chunks(tensors, name, name, {});
    }
  }

  // The tensor that an optimizer's entry belongs to: its own fp32 copy, or the model's tensor of that name.
  static std::string distributed_weight(const std::map<std::string, std::vector<const DcpArray*>>& tensors,
                                        const std::map<std::string, std::string>& components,
                                        const std::string& parameter) {
    for (const char* own : {"fp32_param", "param"}) {
      if (const auto found = components.find(own); found != components.end()) return found->second;
    }
    for (const char* prefix : {"", "model.", "module.", "model.module.", "state_dict.", "app.model."}) {
      std::string name = prefix + parameter;
      if (tensors.contains(name)) return name;
    }
    return {};
  }

  void pair_chunks(const std::map<std::string, std::vector<const DcpArray*>>& tensors, const std::string& weight,
                   const std::string& parameter, const std::map<std::string, std::string>& components) {
    const auto moment = [&](const char* component, const DcpArray& chunk) -> std::optional<ArrayRef> {
      const auto name = components.find(component);
      if (name == components.end()) return std::nullopt;
      for (const DcpArray* array : tensors.at(name->second)) {
        const bool same = array->offsets == chunk.offsets && array->shape == chunk.shape;
        if (same && is_usable(array->dtype)) return ArrayRef{array->shape, array->dtype, array->region};
      }
      return std::nullopt;
    };
    for (const DcpArray* chunk : tensors.at(weight)) {
      if (!is_usable(chunk->dtype)) continue;
      const auto region = take(ArrayRef{chunk->shape, chunk->dtype, chunk->region});
      if (!region) continue;
      const std::string name =
          chunk->whole ? parameter : fmt::format("{}[{}]", parameter, fmt::join(chunk->offsets, ","));
      auto first = moment("exp_avg", *chunk);
      if (!first) first = moment("momentum_buffer", *chunk);
      add({name, chunk->shape, *region}, files_.files[region->file].layout.name, first, moment("exp_avg_sq", *chunk),
          moment("max_exp_avg_sq", *chunk));
    }
  }

  static bool is_usable(DType dtype) {
    return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF64;
  }

  // ---- state dicts ----

  void pair_state_dicts() {
    const StateDicts found = find_state_dicts(files_);
    std::vector<bool> consumed(found.weights.size(), false);
    for (const OptimizerSource& optimizer : found.optimizers) {
      if (zero_files_.contains(optimizer.file)) continue;
      pair_optimizer(optimizer, found.weights, consumed);
    }
    // Without any optimizer the model alone is what is trained; beside one, other models (an average, a teacher) are
    // not touched.
    const bool paired = std::find(consumed.begin(), consumed.end(), true) != consumed.end();
    const bool alone = !paired && result_.parameters.empty();
    for (std::size_t w = 0; w < found.weights.size(); ++w) {
      const WeightSource& source = found.weights[w];
      if (consumed[w]) continue;
      if (alone && source.rank == found.weights.front().rank)
        add_weights(source);
      else
        note(fmt::format("{}: {} tensors without an optimizer, kept without loss", location(source),
                         source.tensors.size()));
    }
  }

  static std::string location(const WeightSource& source) { return source.where; }

  // Candidates for an optimizer, the most likely first.
  static std::vector<std::size_t> candidates(const OptimizerSource& optimizer, const std::vector<WeightSource>& weights,
                                             const std::vector<bool>& consumed) {
    std::vector<std::pair<std::tuple<bool, bool, bool, int>, std::size_t>> order;
    for (std::size_t w = 0; w < weights.size(); ++w) {
      if (consumed[w]) continue;
      const WeightSource& source = weights[w];
      order.push_back({{source.file != optimizer.file, folder_of(source.file) != folder_of(optimizer.file),
                        number_suffix(source.file) != number_suffix(optimizer.file), source.rank},
                       w});
    }
    std::sort(order.begin(), order.end());
    std::vector<std::size_t> result;
    for (const auto& [key, w] : order) result.push_back(w);
    return result;
  }

  static std::size_t count_other_state(const OptimizerSource& optimizer, std::string& example) {
    std::size_t count = 0;
    for (const auto& group : optimizer.groups) {
      for (const OptimizerEntry& entry : group) {
        if (entry.other_state.empty()) continue;
        if (count++ == 0) example = entry.other_state;
      }
    }
    return count;
  }

  void pair_optimizer(const OptimizerSource& optimizer, const std::vector<WeightSource>& weights,
                      std::vector<bool>& consumed) {
    std::string example;
    const std::size_t others = count_other_state(optimizer, example);
    if (others > 0) {
      ++other_;
      note(fmt::format("{}: state of {} parameters ({}) is of an optimizer without Adam's moments; kept without loss",
                       optimizer.where, others, example));
    }
    const std::vector<std::size_t> order = candidates(optimizer, weights, consumed);
    if (order.empty()) {
      note(fmt::format("{}: an optimizer without weights in this checkpoint; kept without loss", optimizer.where));
      return;
    }
    std::optional<Error> first_error;
    for (const std::size_t w : order) {
      try {
        const OrderAnswer answer = match_parameter_order(question(optimizer, weights[w]));
        consumed[w] = true;
        add_optimizer(optimizer, weights[w], answer);
        return;
      } catch (const Error& error) {
        if (!first_error) first_error = error;
      }
    }
    throw *first_error;
  }

  OrderQuestion question(const OptimizerSource& optimizer, const WeightSource& source) const {
    OrderQuestion result;
    for (const WeightTensor& tensor : source.tensors) result.weights.push_back({tensor.name, tensor.array.shape});
    result.weights_in_module_order = source.module_order;
    for (const auto& group : optimizer.groups) {
      auto& slots = result.groups.emplace_back();
      for (const OptimizerEntry& entry : group) {
        slots.push_back({entry.name, {}});
        if (entry.first_moment) slots.back().shape = entry.first_moment->shape;
      }
    }
    result.model_type = model_type(source.file);
    result.user_order = user_order_;
    result.weights_where = source.where;
    result.optimizer_where = optimizer.where;
    return result;
  }

  // From the config.json beside the weights, or at the top of the checkpoint.
  std::string model_type(std::string_view weights_file) const {
    for (const std::string& folder : {std::string(folder_of(weights_file)), std::string()}) {
      for (const CheckpointFile& file : files_.files) {
        if (file.layout.name != folder + "config.json" || file.layout.size > kMaxConfigBytes) continue;
        const auto config = nlohmann::json::parse(as_text(file.map.bytes()), nullptr, /*allow_exceptions=*/false);
        if (!config.is_object()) continue;
        const auto type = config.find("model_type");
        if (type != config.end() && type->is_string()) return type->get<std::string>();
      }
    }
    return {};
  }

  void add_optimizer(const OptimizerSource& optimizer, const WeightSource& source, const OrderAnswer& answer) {
    std::vector<bool> done(source.tensors.size(), false);
    std::size_t slot = 0, paired = 0;
    for (const auto& group : optimizer.groups) {
      for (const OptimizerEntry& entry : group) {
        const auto weight = answer.weight_of_slot[slot++];
        if (!weight || done[*weight]) continue;
        done[*weight] = true;
        const WeightTensor& tensor = source.tensors[*weight];
        const auto region = take(tensor.array);
        if (!region) {
          unusable_.push_back(tensor.name);
          continue;
        }
        paired += entry.first_moment.has_value();
        add({tensor.name, tensor.array.shape, *region}, source.file, entry.first_moment, entry.second_moment,
            entry.max_second_moment);
      }
    }
    if (paired > 0) result_.rule = answer.rule;
    for (std::size_t i = 0; i < source.tensors.size(); ++i) {
      if (!done[i]) add_weight(source, source.tensors[i]);
    }
  }

  void add_weights(const WeightSource& source) {
    for (const WeightTensor& tensor : source.tensors) add_weight(source, tensor);
  }

  void add_weight(const WeightSource& source, const WeightTensor& tensor) {
    if (const auto region = take(tensor.array))
      add({tensor.name, tensor.array.shape, *region}, source.file, {}, {}, {});
    else
      unusable_.push_back(tensor.name);
  }

  const CheckpointFiles& files_;
  std::vector<std::string> user_order_;
  PairedParameters result_;
  std::set<RegionRef> used_;
  std::set<std::string> names_;
  std::set<std::string> zero_files_;
  std::vector<std::string> unusable_;
  int adam_ = 0, amsgrad_ = 0, momentum_ = 0, other_ = 0;
};

}  // namespace

PairedParameters pair_parameters(const CheckpointFiles& files, const CheckpointOptions& options) {
  return Pairing(files, options).run();
}

}  // namespace kinglet
