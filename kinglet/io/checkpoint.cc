#include "kinglet/io/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/log.h"
#include "kinglet/io/checkpoint_layout.h"
#include "kinglet/io/checkpoint_pairing.h"
#include "kinglet/io/pairing_check.h"
#include "kinglet/io/state_dicts.h"

namespace kinglet {

struct Checkpoint::State {
  std::filesystem::path path;
  bool folder = false;
  bool trust_order = false;
  std::vector<FileLayout> files;
  std::vector<MappedFile> maps;  // of `files`
  PairedParameters paired;
  std::vector<std::string> notes;
  std::optional<std::int64_t> step;
};

namespace {

constexpr std::uint64_t kMaxStateBytes = 64u << 20;  // of trainer_state.json

std::optional<std::int64_t> parse_number(std::string_view digits) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) return std::nullopt;
  return value;
}

// The number at the end of `text`, if what stands before it is `accept`ed.
template <typename Accept>
std::optional<std::int64_t> trailing_number(std::string_view text, Accept accept) {
  const std::size_t last = text.find_last_not_of("0123456789");
  if (last == std::string_view::npos || !accept(text.substr(0, last + 1))) return std::nullopt;
  return parse_number(text.substr(last + 1));
}

// "checkpoint-500", "global_step500", "iter_0000500", "step-500".
std::optional<std::int64_t> step_of_folder(std::string_view name) {
  return trailing_number(name, [](std::string_view before) {
    while (!before.empty() && (before.back() == '-' || before.back() == '_')) before.remove_suffix(1);
    return before.ends_with("checkpoint") || before.ends_with("step") || before.ends_with("steps") ||
           before.ends_with("iter") || before.ends_with("ckpt");
  });
}

// "model-500.pt", "ckpt_500.pth", "step500.ckpt"; not the number of a shard.
std::optional<std::int64_t> step_of_file(std::string_view name) {
  const std::string_view stem = name.substr(0, name.find('.'));
  return trailing_number(stem, [](std::string_view before) {
    return !before.ends_with("-of-") &&
           (before.ends_with("-") || before.ends_with("_") || before.ends_with("step") || before.ends_with("iter"));
  });
}

}  // namespace

std::optional<std::int64_t> step_of_checkpoint_name(const std::filesystem::path& path, bool folder) {
  std::filesystem::path full = std::filesystem::absolute(path).lexically_normal();
  if (!full.has_filename()) full = full.parent_path();  // a trailing slash
  const std::string name = full.filename().string();
  return folder ? step_of_folder(name) : step_of_file(name);
}

namespace {

const CheckpointFile* find_file(const CheckpointFiles& files, std::string_view name) {
  for (const CheckpointFile& file : files.files) {
    if (file.layout.name == name) return &file;
  }
  return nullptr;
}

std::optional<std::int64_t> step_of_trainer_state(const CheckpointFiles& files) {
  const CheckpointFile* file = find_file(files, "trainer_state.json");
  if (file == nullptr || file->layout.size > kMaxStateBytes) return std::nullopt;
  const auto state = nlohmann::json::parse(as_text(file->map.bytes()), nullptr, /*allow_exceptions=*/false);
  if (!state.is_object()) return std::nullopt;
  const auto step = state.find("global_step");
  if (step == state.end() || !step->is_number_integer()) return std::nullopt;
  return step->get<std::int64_t>();
}

// A count that a training loop put beside the state dicts of its one file.
std::optional<std::int64_t> step_inside(const CheckpointFile& file) {
  static constexpr std::array<std::string_view, 5> kKeys = {"global_step", "step", "iteration", "iter_num", "iter"};
  if (!file.torch) return std::nullopt;
  for (const std::string_view key : kKeys) {
    const PickleValue* value = dict_find(file.torch->root(), key);
    if (value != nullptr && value->kind == PickleKind::kInt && value->integer >= 0) return value->integer;
  }
  return std::nullopt;
}

std::optional<std::int64_t> find_step(const CheckpointFiles& files) {
  if (const auto step = step_of_trainer_state(files)) return step;
  if (const auto step = step_of_checkpoint_name(files.path, files.folder)) return step;
  if (!files.folder) return step_inside(files.files.front());
  std::optional<std::int64_t> inner;  // of a sub-folder such as global_step500, if all agree
  for (const CheckpointFile& file : files.files) {
    const std::size_t slash = file.layout.name.find('/');
    if (slash == std::string::npos) continue;
    const auto step = step_of_folder(std::string_view(file.layout.name).substr(0, slash));
    if (step && inner && *step != *inner) return std::nullopt;
    if (step) inner = step;
  }
  if (inner) return inner;
  return files.files.size() == 1 ? step_inside(files.files.front()) : std::nullopt;
}

}  // namespace

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Checkpoint Checkpoint::open(const std::filesystem::path& path, const CheckpointOptions& options) {
  CheckpointFiles files = read_checkpoint_files(path);
  auto state = std::make_unique<State>();
  state->path = path;
  state->folder = files.folder;
  state->trust_order = options.trust_order;
  state->paired = pair_parameters(files, options);
  state->step = find_step(files);
  state->notes = std::move(files.notes);
  state->notes.insert(state->notes.end(), state->paired.notes.begin(), state->paired.notes.end());
  for (CheckpointFile& file : files.files) {
    file.torch.reset();  // the object trees are no longer needed
    state->files.push_back(std::move(file.layout));
    state->maps.push_back(std::move(file.map));
  }
  return Checkpoint(std::move(state));
}

const std::filesystem::path& Checkpoint::path() const { return state_->path; }
bool Checkpoint::is_folder() const { return state_->folder; }
const std::vector<FileLayout>& Checkpoint::files() const { return state_->files; }
const MappedFile& Checkpoint::mapping(std::size_t file) const { return state_->maps.at(file); }
const std::vector<Parameter>& Checkpoint::parameters() const { return state_->paired.parameters; }
OptimizerKind Checkpoint::optimizer() const { return state_->paired.optimizer; }
const std::string& Checkpoint::pairing_rule() const { return state_->paired.rule; }
std::optional<std::int64_t> Checkpoint::step() const { return state_->step; }
const std::vector<std::string>& Checkpoint::notes() const { return state_->notes; }

ByteView Checkpoint::bytes(const FileLayout& file) const {
  const auto index = static_cast<std::size_t>(&file - state_->files.data());
  return state_->maps.at(index).bytes();
}

ByteView Checkpoint::bytes(RegionRef region) const {
  const Region& place = state_->files.at(region.file).regions.at(region.region);
  return state_->maps[region.file].bytes().subspan(place.offset, place.bytes);
}

NumberArray Checkpoint::numbers(RegionRef region) const {
  return {files()[region.file].regions[region.region].dtype, bytes(region)};
}

void Checkpoint::check_pairing_against(const Checkpoint& previous) const {
  std::map<std::string, const Parameter*> before;
  for (const Parameter& parameter : previous.parameters()) before[parameter.name] = &parameter;
  check_pairing([&](const Parameter& parameter) -> std::optional<NumberArray> {
    const auto old = before.find(parameter.name);
    if (old == before.end() || old->second->shape != parameter.shape) return {};
    return previous.numbers(old->second->weight);
  });
}

void Checkpoint::check_pairing(const std::function<std::optional<NumberArray>(const Parameter&)>& weight_before) const {
  if (state_->trust_order) return;
  std::vector<MovedParameter> moved;
  for (const Parameter& parameter : parameters()) {
    if (!parameter.first_moment) continue;
    const auto before = weight_before(parameter);
    if (!before) continue;
    MovedParameter entry{
        parameter.name, parameter.shape, *before, numbers(parameter.weight), numbers(*parameter.first_moment), {}};
    if (parameter.second_moment) entry.second_moment = numbers(*parameter.second_moment);
    moved.push_back(std::move(entry));
  }
  const PairingEvidence evidence = judge_pairing(moved);
  if (evidence.wrong()) {
    const auto worst =
        std::max_element(evidence.judged.begin(), evidence.judged.end(), [](const auto& a, const auto& b) {
          return (a.exchanged ? a.best_cosine : 0) < (b.exchanged ? b.best_cosine : 0);
        });
    throw bad_input(
        path().string(),
        fmt::format("weights and moments are paired wrongly ({} of {} tensors): '{}' moves along the moments "
                    "given to '{}' (cosine {:.3f}, with its own {:.3f})",
                    evidence.exchanged, evidence.judged.size(), worst->name, worst->best, worst->best_cosine,
                    worst->cosine),
        "give the right order with --param-order, or accept this one with --trust-order");
  }
  if (evidence.above_noise * 2 < evidence.judged.size()) {
    log_info("{}: the self-check cannot confirm the pairing of weights and moments ({} of {} tensors above the noise)",
             path().string(), evidence.above_noise, evidence.judged.size());
  }
}

}  // namespace kinglet
