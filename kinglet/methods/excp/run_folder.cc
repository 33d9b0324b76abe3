#include "kinglet/methods/excp/run_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include <sys/stat.h>

#include "kinglet/base/error.h"
#include "kinglet/io/checkpoint.h"

namespace kinglet::excp {
namespace fs = std::filesystem;
namespace {

bool is_checkpoint_file(const fs::path& path) {
  static constexpr std::array<std::string_view, 5> kExtensions = {".pt", ".pth", ".bin", ".ckpt", ".safetensors"};
  return std::find(kExtensions.begin(), kExtensions.end(), path.extension().string()) != kExtensions.end();
}

void check_steps_differ(const std::vector<RunCheckpoint>& checkpoints) {
  for (std::size_t i = 1; i < checkpoints.size(); ++i) {
    if (checkpoints[i].step != checkpoints[i - 1].step) continue;
    throw bad_input(
        checkpoints[i].path.string(),
        fmt::format("has the same step {} as '{}'", checkpoints[i].step, checkpoints[i - 1].path.filename().string()),
        "put the parts of one checkpoint into one folder, or add them with 'kinglet ckpt add --step N'");
  }
}

FileClock::time_point changed_at(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return FileClock::now();
  return FileClock::time_point(std::chrono::duration_cast<FileClock::duration>(
      std::chrono::seconds(status.st_ctim.tv_sec) + std::chrono::nanoseconds(status.st_ctim.tv_nsec)));
}

}  // namespace

std::vector<RunCheckpoint> find_run_checkpoints(const fs::path& run) {
  std::error_code error;
  if (!fs::is_directory(run, error)) {
    throw bad_input(run.string(), fs::exists(run, error) ? "is not a folder" : "no such folder",
                    "give the output folder of a training run");
  }
  std::vector<RunCheckpoint> folders, files;
  fs::directory_iterator entry(run, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code gone;
    const bool folder = entry->is_directory(gone);
    if (!folder && !(entry->is_regular_file(gone) && is_checkpoint_file(entry->path()))) continue;
    const auto step = step_of_checkpoint_name(entry->path(), folder);
    if (step) (folder ? folders : files).push_back({*step, entry->path()});
  }
  if (error) throw system_error(run.string(), "cannot list the folder", error.value());
  std::vector<RunCheckpoint>& found = folders.empty() ? files : folders;
  std::sort(found.begin(), found.end(), [](const RunCheckpoint& a, const RunCheckpoint& b) {
    return a.step != b.step ? a.step < b.step : a.path < b.path;
  });
  check_steps_differ(found);
  return found;
}

RunPlan plan_run(const std::vector<RunCheckpoint>& checkpoints, const std::vector<StepInfo>& stored) {
  RunPlan plan;
  for (const RunCheckpoint& checkpoint : checkpoints) {
    const bool known =
        std::any_of(stored.begin(), stored.end(), [&](const StepInfo& info) { return info.step == checkpoint.step; });
    if (known) {
      plan.stored.push_back(checkpoint);
    } else if (!stored.empty() && checkpoint.step < stored.back().step) {
      plan.too_old.push_back(checkpoint);
    } else {
      plan.to_add.push_back(checkpoint);
    }
  }
  return plan;
}

FileClock::time_point last_change(const fs::path& path) {
  FileClock::time_point latest = changed_at(path);
  std::error_code error;
  if (!fs::is_directory(path, error)) return latest;
  fs::recursive_directory_iterator entry(path, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    latest = std::max(latest, changed_at(entry->path()));
  }
  return error ? FileClock::now() : latest;
}

Completeness completeness(const fs::path& checkpoint, std::chrono::duration<double> settle, FileClock::time_point now) {
  if (now - last_change(checkpoint) < settle) return Completeness::kChanging;
  std::error_code error;
  const bool hugging_face = fs::exists(checkpoint / "training_args.bin", error);
  if (hugging_face && !fs::exists(checkpoint / "trainer_state.json", error)) return Completeness::kUnfinished;
  return Completeness::kComplete;
}

ReadyCheckpoints find_ready(const std::vector<RunCheckpoint>& to_add, std::chrono::duration<double> settle,
                            FileClock::time_point now) {
  ReadyCheckpoints result;
  std::vector<RunCheckpoint> unfinished;  // since the last complete one
  for (const RunCheckpoint& checkpoint : to_add) {
    const Completeness state = completeness(checkpoint.path, settle, now);
    if (state == Completeness::kChanging) break;
    if (state == Completeness::kUnfinished) {
      unfinished.push_back(checkpoint);
      continue;
    }
    result.abandoned.insert(result.abandoned.end(), unfinished.begin(), unfinished.end());
    unfinished.clear();
    result.ready.push_back(checkpoint);
  }
  return result;
}

}  // namespace kinglet::excp
