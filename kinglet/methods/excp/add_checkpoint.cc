#include "kinglet/methods/excp/add_checkpoint.h"

#include <unistd.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/methods/excp/run_folder.h"

namespace kinglet::excp {
namespace fs = std::filesystem;
namespace {

fs::path without_trailing_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

// Refused before the work, not after it.
void check_replaceable(const Store& store, const fs::path& path) {
  if (fs::is_symlink(path)) {
    throw bad_input(path.string(), "is a link, which --replace does not follow", "give the checkpoint itself");
  }
  const fs::path inside = fs::canonical(store.path()).lexically_relative(fs::canonical(path));
  if (!inside.empty() && *inside.begin() != "..") {
    throw bad_input(path.string(), "contains the store, so it cannot be replaced by it", "keep the store elsewhere");
  }
}

// A half-deleted checkpoint must not look like a checkpoint: it gets another name first.
void delete_checkpoint(const fs::path& path) {
  const fs::path doomed = path.parent_path() / fmt::format("{}.tmp.{}.0", path.filename().string(), ::getpid());
  std::error_code error;
  fs::rename(path, doomed, error);
  if (!error) fs::remove_all(doomed, error);
  if (error) throw system_error(path.string(), "is stored, but the original cannot be deleted", error.value());
}

std::int64_t require_step(const Checkpoint& checkpoint, std::optional<std::int64_t> step) {
  if (step) return *step;
  if (checkpoint.step()) return *checkpoint.step();
  throw bad_input(checkpoint.path().string(), "neither its name nor its files tell the training step",
                  "give it with --step N");
}

}  // namespace

AddReport add_checkpoint(Store& store, const fs::path& given, std::optional<std::int64_t> step,
                         const AddSettings& settings) {
  const fs::path path = without_trailing_slash(given);
  const FileClock::time_point before = settings.replace ? last_change(path) : FileClock::time_point{};
  AddReport report;
  {
    const Checkpoint checkpoint = Checkpoint::open(path, settings.reading);
    if (settings.replace) check_replaceable(store, path);
    report =
        store.add(checkpoint, require_step(checkpoint, step), settings.options, settings.verify || settings.replace);
    report.warnings.insert(report.warnings.begin(), checkpoint.notes().begin(), checkpoint.notes().end());
  }
  if (!settings.replace) return report;
  if (last_change(path) != before) {
    throw failed(path.string(), "changed while it was added, so it was not deleted",
                 fmt::format("step {} is stored; compare it with 'kinglet ckpt diff'", report.info.step));
  }
  delete_checkpoint(path);
  return report;
}

}  // namespace kinglet::excp
