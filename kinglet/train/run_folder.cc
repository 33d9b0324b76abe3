#include "kinglet/train/run_folder.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/io/loss_curve.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

// What a key may do to a run that goes on.
enum class Weight { kFree, kWithConsent, kFixed };

Weight weight_of(const std::string& key) {
  constexpr std::array<std::string_view, 5> kFree = {"name", "evaluation.", "checkpoints.every", "checkpoints.keep",
                                                     "training.log_every"};
  constexpr std::array<std::string_view, 4> kWithConsent = {"training.", "optimizer.", "schedule.", "checkpoints."};
  const auto begins = [&key](std::string_view prefix) { return key.starts_with(prefix); };
  if (std::any_of(kFree.begin(), kFree.end(), begins)) return Weight::kFree;
  if (key != "training.batch" && std::any_of(kWithConsent.begin(), kWithConsent.end(), begins)) {
    return Weight::kWithConsent;
  }
  return Weight::kFixed;
}

// What was prepared before the first step follows from these.
bool is_of_data(const std::string& key) {
  return key == "seed" || key.starts_with("data.") || key.starts_with("tokenizer.");
}

// Whether something was trained: then there is more than what was prepared.
bool has_begun(const fs::path& folder) {
  constexpr std::array<std::string_view, 4> kPrepared = {"lock", "recipe.toml", "data", "tokenizer"};
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (std::find(kPrepared.begin(), kPrepared.end(), name) == kPrepared.end()) return true;
  }
  return false;
}

std::string change_text(const RecipeChange& change) {
  return fmt::format("{} was {} and is {}", change.key, change.before.value_or("not there"),
                     change.after.value_or("not there"));
}

void check_changes(const fs::path& path, const RecipeValue::Table& before, const RecipeValue::Table& after,
                   bool allow_changes, bool begun) {
  std::vector<std::string> texts;
  bool fixed = false;
  for (const RecipeChange& change : compare_recipes(before, after)) {
    if (!begun && !is_of_data(change.key)) continue;
    const Weight weight = weight_of(change.key);
    if (weight == Weight::kFree || (weight == Weight::kWithConsent && allow_changes)) continue;
    fixed = fixed || weight == Weight::kFixed;
    texts.push_back(change_text(change));
  }
  if (texts.empty()) return;
  const std::size_t more = texts.size() - std::min<std::size_t>(texts.size(), 3);
  texts.resize(texts.size() - more);
  throw bad_input(path.string(),
                  fmt::format("the run began with another recipe: {}{}", fmt::join(texts, "; "),
                              more > 0 ? fmt::format("; and {} more", more) : ""),
                  fixed ? "go on with the old recipe, or begin a new run in another folder (--out)"
                        : "go on with the old recipe, take another folder (--out), or consent with --allow-changes");
}

}  // namespace

RunFolder::RunFolder(fs::path path, const RecipeValue::Table& recipe, bool allow_changes) : path_(std::move(path)) {
  const fs::path recipe_path = path_ / "recipe.toml";
  std::error_code error;
  if (!fs::exists(recipe_path) && fs::exists(path_) && !(fs::is_directory(path_) && fs::is_empty(path_, error))) {
    const bool is_lock_alone = fs::is_directory(path_) && fs::exists(path_ / "lock") &&
                               std::distance(fs::directory_iterator(path_), fs::directory_iterator()) == 1;
    if (!is_lock_alone) {
      throw bad_input(path_.string(), "the folder holds something that is no run", "choose another one with --out");
    }
  }
  fs::create_directories(path_, error);
  if (error) throw system_error(path_.string(), "cannot create the run folder", error.value());
  lock_ = std::make_unique<FileLock>(path_ / "lock", "run");
  remove_stale_temporary_files(path_);
  if (fs::exists(recipe_path)) {
    check_changes(recipe_path, Recipe::load(recipe_path).root().table(), recipe, allow_changes, has_begun(path_));
  }
  write_file_atomically(recipe_path, as_bytes(recipe_text(recipe)));
}

// ---- the log ---------------------------------------------------------------------------------------------------

namespace {

std::optional<std::int64_t> restart_of(const fs::path& folder, std::int64_t resumed_step) {
  const bool is_first = !fs::exists(folder) || fs::is_empty(folder);
  return is_first ? std::nullopt : std::optional(resumed_step);
}

}  // namespace

RunLog::RunLog(const fs::path& run, std::string title, std::int64_t resumed_step)
    : run_(run),
      title_(std::move(title)),
      metrics_(run / "metrics.jsonl", resumed_step),
      tensorboard_(run / "tensorboard", restart_of(run / "tensorboard", resumed_step)) {}

void RunLog::write(std::int64_t step, const NamedNumbers& values) {
  const double now = seconds_since_1970();
  metrics_.write(step, values, now);
  tensorboard_.write(step, values, now);
}

void RunLog::draw() const {
  const std::vector<MetricsLine> lines = read_metrics(run_ / "metrics.jsonl");
  LossCurveNames names;
  names.evaluation_loss = kEvaluationLoss;
  write_file_atomically(run_ / "loss.svg", as_bytes(loss_curve_svg(lines, title_, names)));
}

std::vector<double> RunLog::evaluations() const {
  std::vector<double> losses;
  for (const MetricsLine& line : read_metrics(run_ / "metrics.jsonl")) {
    if (const auto loss = line.value(kEvaluationLoss)) losses.push_back(*loss);
  }
  return losses;
}

}  // namespace kinglet
