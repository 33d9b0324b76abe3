#include "kinglet/train/adamw_file.h"

#include <map>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/torch_file.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

class GroupWriter {
 public:
  explicit GroupWriter(TorchFileWriter& writer) : writer_(writer), b_(writer.builder) {}

  void add(const AdamWGroup& group) {
    std::vector<PickleValue*> ids, names;
    for (const AdamWEntry& entry : group.entries) {
      PickleValue* const id = b_.integer(next_id_++);
      ids.push_back(id);
      names.push_back(b_.string(entry.name));
      if (entry.has_state) states_.emplace_back(id, state(entry));
    }
    groups_.push_back(b_.dict({{b_.string("lr"), b_.number(group.lr)},
                               {b_.string("betas"), b_.tuple({b_.number(group.beta1), b_.number(group.beta2)})},
                               {b_.string("eps"), b_.number(group.eps)},
                               {b_.string("weight_decay"), b_.number(group.weight_decay)},
                               {b_.string("amsgrad"), b_.boolean(group.amsgrad)},
                               {b_.string("maximize"), b_.boolean(false)},
                               {b_.string("foreach"), b_.none()},
                               {b_.string("capturable"), b_.boolean(false)},
                               {b_.string("differentiable"), b_.boolean(false)},
                               {b_.string("fused"), b_.none()},
                               {b_.string("param_names"), b_.list(names)},
                               {b_.string("params"), b_.list(ids)}}));
  }

  PickleValue* root() {
    return b_.dict({{b_.string("state"), b_.dict(states_)}, {b_.string("param_groups"), b_.list(groups_)}});
  }

 private:
  PickleValue* tensor(const std::string& name, const at::Tensor& value) {
    const TensorView view = view_of(name, value);
    return writer_.add_tensor(view.dtype, view.shape, view.data);
  }
  PickleValue* state(const AdamWEntry& entry) {
    steps_.push_back(torch::tensor(static_cast<float>(entry.step)));
    std::vector<std::pair<PickleValue*, PickleValue*>> fields = {
        {b_.string("step"), tensor(entry.name, steps_.back())},
        {b_.string("exp_avg"), tensor(entry.name, entry.first_moment)},
        {b_.string("exp_avg_sq"), tensor(entry.name, entry.second_moment)}};
    if (entry.row_steps.defined()) fields.emplace_back(b_.string("row_step"), tensor(entry.name, entry.row_steps));
    return b_.dict(fields);
  }

  TorchFileWriter& writer_;
  PickleBuilder& b_;
  std::vector<at::Tensor> steps_;  // alive until the file is written
  std::vector<std::pair<PickleValue*, PickleValue*>> states_;
  std::vector<PickleValue*> groups_;
  std::int64_t next_id_ = 0;
};

class GroupReader {
 public:
  GroupReader(const TorchFile& file, const fs::path& path) : file_(file), path_(path) {
    const PickleValue* states = file.root() == nullptr ? nullptr : file.root()->find("state");
    groups_ = file.root() == nullptr ? nullptr : file.root()->find("param_groups");
    if (states == nullptr || groups_ == nullptr || groups_->kind != PickleKind::kList || groups_->items.empty()) {
      throw bad_input(path_.string(), "this is not the state of an AdamW", "expected optimizer.state_dict()");
    }
    for (std::size_t i = 0; i + 1 < states->items.size(); i += 2) {
      if (states->items[i]->kind == PickleKind::kInt) states_[states->items[i]->integer] = states->items[i + 1];
    }
  }

  std::vector<AdamWGroup> read() const {
    std::vector<AdamWGroup> all;
    for (const PickleValue* group : groups_->items) all.push_back(read_group(group));
    return all;
  }

 private:
  [[noreturn]] void refuse(const std::string& problem) const {
    throw bad_input(path_.string(), problem, "expected AdamW's state_dict()");
  }
  double number(const PickleValue* value, std::string_view key) const {
    if (value != nullptr && value->kind == PickleKind::kFloat) return value->number;
    if (value != nullptr && value->kind == PickleKind::kInt) return static_cast<double>(value->integer);
    refuse(fmt::format("param_groups has no number '{}'", key));
  }
  AdamWGroup read_group(const PickleValue* group) const {
    AdamWGroup result;
    result.lr = number(group->find("lr"), "lr");
    result.eps = number(group->find("eps"), "eps");
    result.weight_decay = number(group->find("weight_decay"), "weight_decay");
    const PickleValue* betas = group->find("betas");
    if (betas == nullptr || betas->items.size() != 2) refuse("param_groups has no 'betas'");
    result.beta1 = number(betas->items[0], "betas");
    result.beta2 = number(betas->items[1], "betas");
    const PickleValue *ids = group->find("params"), *names = group->find("param_names");
    if (ids == nullptr || ids->kind != PickleKind::kList) refuse("param_groups has no 'params'");
    for (std::size_t i = 0; i < ids->items.size(); ++i) {
      if (ids->items[i]->kind != PickleKind::kInt) refuse("params must be numbers");
      const bool named = names != nullptr && i < names->items.size() && names->items[i]->kind == PickleKind::kString;
      result.entries.push_back(read_entry(ids->items[i]->integer, named ? names->items[i]->text : ""));
    }
    return result;
  }
  AdamWEntry read_entry(std::int64_t id, const std::string& name) const {
    AdamWEntry entry;
    entry.name = name;
    const auto found = states_.find(id);
    entry.has_state = found != states_.end();
    if (!entry.has_state) return entry;
    const std::string label = name.empty() ? fmt::format("parameter {}", id) : name;
    entry.step = static_cast<std::int64_t>(tensor(found->second, "step", label).item<double>());
    entry.first_moment = tensor(found->second, "exp_avg", label);
    entry.second_moment = tensor(found->second, "exp_avg_sq", label);
    if (found->second->find("row_step") != nullptr) entry.row_steps = tensor(found->second, "row_step", label);
    return entry;
  }
  at::Tensor tensor(const PickleValue* state, const char* key, const std::string& name) const {
    const PickleValue* value = state->find(key);
    const TorchTensor* tensor = value == nullptr ? nullptr : file_.tensor(value);
    if (tensor == nullptr) refuse(fmt::format("tensor {}.{} is missing", name, key));
    return to_tensor({name, tensor->dtype, tensor->shape, file_.contiguous_bytes(*tensor)});
  }

  const TorchFile& file_;
  const fs::path& path_;
  const PickleValue* groups_;
  std::map<std::int64_t, const PickleValue*> states_;
};

}  // namespace

void write_adamw(const fs::path& path, const std::vector<AdamWGroup>& groups) {
  TorchFileWriter writer;
  GroupWriter group_writer(writer);
  for (const AdamWGroup& group : groups) group_writer.add(group);
  PickleValue* const root = group_writer.root();
  std::move(writer).write(path, root);
}

std::vector<AdamWGroup> read_adamw(const fs::path& path) {
  const TorchFile file = TorchFile::open(path);
  return GroupReader(file, path).read();
}

}  // namespace kinglet
