#include "kinglet/train/plain_checkpoint_sink.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <unistd.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "checkpoint-";

void flush_file(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw system_error(path.string(), "cannot open", errno);
  const int status = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  if (status != 0) throw system_error(path.string(), "cannot flush to disk", error);
}

}  // namespace

PlainCheckpointSink::PlainCheckpointSink(fs::path root, std::int64_t keep) : root_(std::move(root)), keep_(keep) {
  fs::create_directories(root_);
  remove_stale_temporary_files(root_);
}

fs::path PlainCheckpointSink::final_path(std::int64_t step) const { return root_ / fmt::format("{}{}", kPrefix, step); }

fs::path PlainCheckpointSink::working_path(std::int64_t step) const {
  return root_ / fmt::format("{}{}.tmp.{}.0", kPrefix, step, ::getpid());
}

fs::path PlainCheckpointSink::begin(std::int64_t step) {
  if (fs::exists(final_path(step))) {
    throw bad_input(final_path(step).string(), "this checkpoint exists already", "choose another run folder");
  }
  fs::path path = working_path(step);
  fs::remove_all(path);
  fs::create_directories(path);
  return path;
}

void PlainCheckpointSink::commit(std::int64_t step) {
  const fs::path path = working_path(step);
  std::vector<fs::path> folders = {path};
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) flush_file(entry.path());
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  for (const fs::path& folder : folders) sync_directory(folder);
  fs::rename(path, final_path(step));
  sync_directory(root_);
  remove_old();
}

// The name goes first, so that a half-removed folder is no checkpoint.
void PlainCheckpointSink::remove_old() const {
  if (keep_ == 0) return;
  std::vector<std::int64_t> old = steps();
  if (static_cast<std::int64_t>(old.size()) <= keep_) return;
  old.resize(old.size() - static_cast<std::size_t>(keep_));
  for (const std::int64_t step : old) {
    fs::rename(final_path(step), working_path(step));
    fs::remove_all(working_path(step));
  }
}

std::vector<std::int64_t> PlainCheckpointSink::steps() const {
  std::vector<std::int64_t> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(root_)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    const char* end = name.data() + name.size();
    std::int64_t step = 0;
    const auto [after, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
    if (error == std::errc() && after == end) found.push_back(step);
  }
  std::sort(found.begin(), found.end());
  return found;
}

fs::path PlainCheckpointSink::open(std::int64_t step) {
  if (!fs::is_directory(final_path(step))) throw bad_input(final_path(step).string(), "no such checkpoint");
  return final_path(step);
}

}  // namespace kinglet
