#include "kinglet/methods/excp/store_sink.h"

#include "kinglet/base/error.h"
#include "kinglet/base/log.h"

namespace kinglet::excp {
namespace fs = std::filesystem;
namespace {

constexpr const char* kIncoming = "incoming";
constexpr const char* kRestored = "restored";

// The name tells the step to readers that find no other trace of it.
fs::path checkpoint_folder(const Store& store, const char* room, std::int64_t step) {
  return store.path() / room / fmt::format("checkpoint-{}", step);
}

}  // namespace

StoreSink::StoreSink(const fs::path& store, Options options, bool verify)
    : store_(Store::open(store, Store::Access::kWrite)), options_(options), verify_(verify) {
  validate(options_);
  remove_working_folders();
}

StoreSink::~StoreSink() { remove_working_folders(); }

void StoreSink::remove_working_folders() const {
  std::error_code ignored;
  for (const char* room : {kIncoming, kRestored}) fs::remove_all(store_.path() / room, ignored);
}

fs::path StoreSink::begin(std::int64_t step) {
  if (!store_.steps().empty() && step <= store_.steps().back().step) {
    throw bad_input(store_.path().string(),
                    fmt::format("step {} is not newer than the stored step {}", step, store_.steps().back().step),
                    "continue from the newest step, or use another store");
  }
  fs::path path = checkpoint_folder(store_, kIncoming, step);
  std::error_code error;
  fs::remove_all(path, error);
  fs::create_directories(path, error);
  if (error) throw system_error(path.string(), "cannot create the folder", error.value());
  return path;
}

void StoreSink::commit(std::int64_t step) {
  fs::path path = checkpoint_folder(store_, kIncoming, step);
  AddReport report;
  {
    const Checkpoint checkpoint = Checkpoint::open(path);
    report = store_.add(checkpoint, step, options_, verify_);
    for (const std::string& note : checkpoint.notes()) log_warning("step {}: {}", step, note);
  }
  for (const std::string& warning : report.warnings) log_warning("step {}: {}", step, warning);
  std::error_code ignored;  // what stays is removed with the sink
  fs::remove_all(path, ignored);
  if (listener_) listener_(report);
}

std::vector<std::int64_t> StoreSink::steps() const {
  std::vector<std::int64_t> result;
  for (const StepInfo& info : store_.steps()) result.push_back(info.step);
  return result;
}

fs::path StoreSink::open(std::int64_t step) {
  fs::path path = checkpoint_folder(store_, kRestored, step);
  if (!fs::exists(path)) {
    fs::create_directories(path.parent_path());
    store_.get(step, path);
  }
  return path;
}

}  // namespace kinglet::excp
