#include "kinglet/methods/excp/store.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "kinglet/base/error.h"
#include "kinglet/base/file_lock.h"
#include "kinglet/base/files.h"
#include "kinglet/base/progress.h"
#include "kinglet/methods/excp/rebase.h"
#include "kinglet/methods/excp/reference_cache.h"
#include "kinglet/methods/excp/restore.h"
#include "kinglet/methods/excp/step_encoder.h"
#include "kinglet/methods/excp/step_records.h"
#include "kinglet/methods/excp/verify.h"

namespace kinglet::excp {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStepSuffix = ".step";
constexpr double kMostChanged = 0.1;  // share of a checkpoint that may be new before a key frame is the better choice

}  // namespace

struct Store::State {
  fs::path path;
  Access access = Access::kRead;
  std::unique_ptr<FileLock> lock;
  std::vector<StepInfo> steps;  // ascending
  std::unique_ptr<ReferenceCache> reference;
  mutable std::map<std::int64_t, std::shared_ptr<const StepFile>> opened;

  fs::path cache_path() const { return path / "reference.cache"; }
  fs::path steps_folder() const { return path / "steps"; }

  void require_writable() const {
    if (access != Access::kWrite) throw failed(path.string(), "the store is open for reading only");
  }

  const StepInfo* find(std::int64_t step) const {
    const auto found = std::lower_bound(steps.begin(), steps.end(), step,
                                        [](const StepInfo& info, std::int64_t value) { return info.step < value; });
    return found != steps.end() && found->step == step ? &*found : nullptr;
  }

  std::shared_ptr<const StepFile> open_step(const StepInfo& info) const {
    auto& file = opened[info.step];
    if (file) return file;
    const fs::path file_path = join_untrusted(path, info.file);
    std::shared_ptr<const StepFile> fresh;
    try {
      fresh = std::make_shared<const StepFile>(file_path);
    } catch (const Error& error) {  // a damaged store is no mistake of the user
      throw failed("", error.what(), "run 'kinglet ckpt verify STORE' to see which steps are usable");
    }
    if (fresh->hash() != info.hash || fresh->index().step != info.step || fresh->index().parent != info.parent) {
      throw failed(file_path.string(), fmt::format("this is not the file that was stored for step {}", info.step),
                   "run 'kinglet ckpt verify STORE' to see which steps are usable");
    }
    return file = std::move(fresh);
  }

  // The infos of a step and all it depends on, key frame first.
  std::vector<const StepInfo*> lineage(std::int64_t step) const {
    std::vector<const StepInfo*> infos;
    for (const StepInfo* info = find(step); info != nullptr; info = info->parent ? find(*info->parent) : nullptr) {
      infos.insert(infos.begin(), info);
      if (info->key) break;
    }
    return infos;
  }

  StepChain chain(std::int64_t step) const {
    std::vector<std::shared_ptr<const StepFile>> files;
    for (const StepInfo* info : lineage(step)) {
      try {
        files.push_back(open_step(*info));
      } catch (const Error& error) {
        throw failed(fmt::format("step {}", step), error.what(), usable_instead(*info));
      }
    }
    return StepChain(std::move(files));
  }

  // What is left when `damaged` cannot be read.
  std::string usable_instead(const StepInfo& damaged) const {
    const auto later_key = std::find_if(steps.begin(), steps.end(),
                                        [&](const StepInfo& info) { return info.step > damaged.step && info.key; });
    std::string text;
    if (later_key != steps.end()) text = fmt::format("the next step that does not need it is {}", later_key->step);
    const StepInfo* before = damaged.parent ? find(*damaged.parent) : nullptr;
    if (before != nullptr) text += fmt::format("{}the one before it is {}", text.empty() ? "" : "; ", before->step);
    return text.empty() ? "no other step of this chain is usable" : text;
  }

  fs::path new_step_path(std::int64_t step) const {
    fs::path candidate = steps_folder() / fmt::format("{:010}{}", step, kStepSuffix);
    for (int revision = 1; fs::exists(candidate); ++revision) {
      candidate = steps_folder() / fmt::format("{:010}.r{}{}", step, revision, kStepSuffix);
    }
    return candidate;
  }

  // Files that a crash left: temporary ones, and containers that no manifest names.
  void remove_leftovers() const {
    remove_stale_temporary_files(path);
    remove_stale_temporary_files(steps_folder());
    std::set<fs::path> known;
    for (const StepInfo& info : steps) known.insert(fs::path(info.file).filename());
    for (const fs::directory_entry& entry : fs::directory_iterator(steps_folder())) {
      const fs::path name = entry.path().filename();
      if (name.extension() == kStepSuffix && !known.contains(name)) fs::remove(entry.path());
    }
    fs::remove(cache_path().string() + ".next");
  }

  void commit(std::vector<StepInfo> next) {
    write_manifest(path, next);
    steps = std::move(next);
  }

  std::string key_reason(const Checkpoint& checkpoint, const Options& options) const;
  void check_pairing(const Checkpoint& checkpoint) const;
};

// Why the next step should be a key frame; empty when it can be a delta. [specification 2.8]
std::string Store::State::key_reason(const Checkpoint& checkpoint, const Options& options) const {
  if (steps.empty()) return "first step";
  const std::vector<const StepInfo*> infos = lineage(steps.back().step);
  const auto deltas = infos.size() - 1;
  if (deltas >= static_cast<std::size_t>(options.key_every)) return fmt::format("{} deltas since the last one", deltas);
  std::uint64_t bytes = 0;
  for (std::size_t i = 1; i < infos.size(); ++i) bytes += infos[i]->lossy ? infos[i]->stored_bytes : 0;
  if (bytes > infos.front()->stored_bytes && !options.lossless) return "the deltas have outgrown it";
  const double changed = changed_share(checkpoint, open_step(steps.back())->index());
  if (changed > kMostChanged)
    return fmt::format("{:.0f} % of the weights are new or have another shape", 100 * changed);
  return {};
}

void Store::State::check_pairing(const Checkpoint& checkpoint) const {
  checkpoint.check_pairing([&](const Parameter& parameter) -> std::optional<NumberArray> {
    const std::span<const float> before = reference->of(parameter.name);
    const NumberArray now{checkpoint.files()[parameter.weight.file].regions[parameter.weight.region].dtype,
                          checkpoint.bytes(parameter.weight)};
    if (before.empty() || before.size() != now.size()) return {};
    return NumberArray{DType::kF32, std::as_bytes(before)};
  });
}

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Store Store::open(const fs::path& path, Access access) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->access = access;
  const bool has_manifest = fs::exists(path / "manifest.json");
  const bool has_steps = fs::is_directory(state->steps_folder()) && !fs::is_empty(state->steps_folder());
  if (!has_manifest && has_steps) {
    throw failed(path.string(), "the store has no manifest",
                 "write it anew with 'kinglet ckpt verify STORE --rebuild-manifest'");
  }
  if (access == Access::kRead) {
    if (!has_manifest) throw bad_input(path.string(), "this is not an ExCP store", "make one with 'kinglet ckpt add'");
    state->steps = read_manifest(path);
    return Store(std::move(state));
  }
  if (!has_manifest && fs::exists(path) && !(fs::is_directory(path) && fs::is_empty(path))) {
    const bool ours = fs::is_directory(path) && fs::exists(path / "lock");  // interrupted before the first manifest
    if (!ours) throw bad_input(path.string(), "it exists and is not an ExCP store", "choose another folder");
  }
  std::error_code error;
  fs::create_directories(state->steps_folder(), error);
  if (error) throw system_error(path.string(), "cannot create the store", error.value());
  state->lock = std::make_unique<FileLock>(path / "lock", "store");
  state->steps = read_manifest(path);
  if (!fs::exists(path / "manifest.json")) write_manifest(path, {});
  state->remove_leftovers();
  state->reference = std::make_unique<ReferenceCache>(state->cache_path());
  return Store(std::move(state));
}

std::vector<std::string> Store::rebuild_manifest(const fs::path& path) {
  if (!fs::is_directory(path / "steps")) throw bad_input(path.string(), "this is not an ExCP store");
  const FileLock lock(path / "lock", "store");
  std::vector<std::string> left_out;
  std::map<std::int64_t, std::pair<StepInfo, std::uint64_t>> found;  // with the content hash
  std::map<std::int64_t, std::uint64_t> pins;                        // parent_content of each delta
  for (const fs::directory_entry& entry : fs::directory_iterator(path / "steps")) {
    if (entry.path().extension() != kStepSuffix) continue;
    try {
      const StepFile file(entry.path());
      const StepInfo info = info_of(file, "steps/" + entry.path().filename().string());
      const auto old = found.find(info.step);
      // A crash inside `rebase` leaves two files for one step; the key frame needs nothing else.
      if (old != found.end() && old->second.first.key) continue;
      found[info.step] = {info, file.content()};
      pins[info.step] = file.index().parent_content;
    } catch (const Error& error) {
      left_out.emplace_back(error.what());
    }
  }
  std::vector<StepInfo> steps;
  std::map<std::int64_t, std::uint64_t> usable;
  for (const auto& [step, entry] : found) {
    const StepInfo& info = entry.first;
    const bool fits = info.key || (usable.contains(*info.parent) && usable[*info.parent] == pins[step]);
    if (fits) {
      steps.push_back(info);
      usable[step] = entry.second;
    } else {
      left_out.push_back(
          fmt::format("{}: step {} needs step {}, which is missing or damaged", info.file, step, *info.parent));
    }
  }
  write_manifest(path, steps);
  return left_out;
}

const fs::path& Store::path() const { return state_->path; }
const std::vector<StepInfo>& Store::steps() const { return state_->steps; }
bool Store::contains(std::int64_t step) const { return state_->find(step) != nullptr; }

const StepInfo& Store::find(std::int64_t step) const {
  if (const StepInfo* info = state_->find(step)) return *info;
  const auto& steps = state_->steps;
  if (steps.empty()) throw bad_input(path().string(), "the store holds no steps");
  std::string neighbours;
  const auto after = std::find_if(steps.begin(), steps.end(), [&](const StepInfo& info) { return info.step > step; });
  if (after != steps.begin()) neighbours = fmt::format("{}", std::prev(after)->step);
  if (after != steps.end()) neighbours += fmt::format("{}{}", neighbours.empty() ? "" : " and ", after->step);
  throw bad_input(path().string(), fmt::format("there is no step {}", step), fmt::format("nearest: {}", neighbours));
}

AddReport Store::add(const Checkpoint& checkpoint, std::int64_t step, const Options& options, bool verify) {
  State& state = *state_;
  state.require_writable();
  validate(options);
  const auto start = std::chrono::steady_clock::now();
  if (step < 0)
    throw bad_input(checkpoint.path().string(), "a step cannot be negative", "give another one with --step");
  if (!state.steps.empty() && step <= state.steps.back().step) {
    throw bad_input(checkpoint.path().string(),
                    fmt::format("step {} is not above the newest stored step {}", step, state.steps.back().step),
                    "steps are added in order; give a larger one with --step or use another store");
  }
  AddReport report;
  report.key_reason = state.key_reason(checkpoint, options);
  std::optional<StepChain> parent;
  if (report.key_reason.empty()) {
    parent.emplace(state.chain(state.steps.back().step));
    state.reference->load(*parent);
    state.check_pairing(checkpoint);
  }
  const fs::path path = state.new_step_path(step);
  StepWriter writer(path);
  StepIndex index;
  {
    std::uint64_t bytes = 0;
    for (const FileLayout& file : checkpoint.files()) bytes += file.size;
    Progress progress(fmt::format("storing step {}", step), bytes, Progress::Unit::kBytes);
    index = encode_step({checkpoint, step, options, parent ? &*parent : nullptr, report.key_reason}, *state.reference,
                        writer, progress);
  }
  writer.finish(index);
  auto written = std::make_shared<const StepFile>(writer.temporary_path());
  if (verify) {
    std::vector<std::shared_ptr<const StepFile>> files;
    for (std::size_t i = 0; parent && i < parent->size(); ++i)
      files.push_back(state.opened.at(parent->file(i).index().step));
    files.push_back(written);
    verify_against(StepChain(std::move(files)), checkpoint);
  }
  writer.commit();
  report.info = info_of(*written, "steps/" + path.filename().string());
  std::vector<StepInfo> next = state.steps;
  next.push_back(report.info);
  state.commit(std::move(next));
  report.tensors = records_of(index);
  report.warnings = warnings_of(index, options, report);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

std::vector<std::string> Store::get(std::int64_t step, const fs::path& out, const GetOptions& options) const {
  find(step);
  return restore_step(state_->chain(step), out, options);
}

std::vector<Store::VerifyReport> Store::verify(std::optional<std::int64_t> step) const {
  if (step) find(*step);
  // The newest wanted step of each chain brings the others with it.
  std::map<std::int64_t, std::string> problems;
  std::set<std::int64_t> wanted, done;
  if (step) {
    for (const StepInfo* info : state_->lineage(*step)) wanted.insert(info->step);
  } else {
    for (const StepInfo& info : state_->steps) wanted.insert(info.step);
  }
  for (auto newest = wanted.rbegin(); newest != wanted.rend(); ++newest) {
    if (done.contains(*newest)) continue;
    try {
      const StepChain chain = state_->chain(*newest);
      problems.merge(verify_chain(chain));
      for (const StepInfo* info : state_->lineage(*newest)) done.insert(info->step);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInterrupted) throw;
      problems.emplace(*newest, error.what());
    }
  }
  std::vector<VerifyReport> reports;
  for (const StepInfo& info : state_->steps) {
    if (step && info.step != *step) continue;
    const auto problem = problems.find(info.step);
    reports.push_back({info.step, problem == problems.end(), problem == problems.end() ? "" : problem->second});
  }
  return reports;
}

StepDetails Store::details(std::int64_t step) const {
  const auto file = state_->open_step(find(step));
  StepDetails details{find(step), file->index().settings, file->index().key_reason, records_of(file->index()), {}};
  for (const StoredFile& stored : file->index().files) details.files.push_back({stored.name, stored.size});
  return details;
}

std::vector<std::int64_t> Store::collect_garbage(const std::vector<std::int64_t>& retained) {
  state_->require_writable();
  std::set<std::int64_t> needed;
  for (const std::int64_t step : retained) {
    find(step);
    for (const StepInfo* info : state_->lineage(step)) needed.insert(info->step);
  }
  std::vector<StepInfo> kept, dropped;
  for (const StepInfo& info : state_->steps) (needed.contains(info.step) ? kept : dropped).push_back(info);
  state_->commit(std::move(kept));
  std::vector<std::int64_t> removed;
  for (const StepInfo& info : dropped) {
    state_->opened.erase(info.step);
    fs::remove(join_untrusted(path(), info.file));
    removed.push_back(info.step);
  }
  *state_->reference = ReferenceCache(state_->cache_path());
  fs::remove(state_->cache_path());
  return removed;
}

void Store::rebase(std::int64_t step) {
  state_->require_writable();
  const StepInfo old = find(step);
  if (old.key) throw bad_input(path().string(), fmt::format("step {} is a key frame already", step));
  const fs::path target = state_->new_step_path(step);
  StepWriter writer(target);
  {
    const StepChain chain = state_->chain(step);
    writer.finish(encode_as_key(chain, writer));
  }
  const StepInfo fresh = info_of(StepFile(writer.temporary_path()), "steps/" + target.filename().string());
  writer.commit();
  std::vector<StepInfo> next = state_->steps;
  std::replace_if(
      next.begin(), next.end(), [&](const StepInfo& info) { return info.step == step; }, fresh);
  state_->commit(std::move(next));
  state_->opened.erase(step);
  fs::remove(join_untrusted(path(), old.file));
}

}  // namespace kinglet::excp
