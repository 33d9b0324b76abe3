#include "kinglet/train/training_course.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include <fmt/format.h>

#include "kinglet/base/atomic_folder.h"
#include "kinglet/base/progress.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/run_folder.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

using CourseClock = std::chrono::steady_clock;

double seconds_since(CourseClock::time_point start) {
  return std::chrono::duration<double>(CourseClock::now() - start).count();
}

class Course {
 public:
  Course(const CourseRecipe& recipe, const fs::path& folder, LanguageTrainer& trainer, const CourseHooks& hooks)
      : recipe_(recipe), folder_(folder), trainer_(trainer), hooks_(hooks) {}

  CourseReport run(const std::string& name, const std::string& what, const CourseEvaluation& evaluation,
                   ProcessGroup* group) {
    const bool is_first = trainer_.is_first();
    std::unique_ptr<CheckpointSink> sink;
    if (is_first) sink = recipe_.sink(folder_);
    const std::int64_t resumed = sink && !sink->steps().empty() ? sink->steps().back() : 0;
    RunSettings settings{recipe_.steps,      recipe_.save_every, evaluation.data ? recipe_.evaluate_every : 0,
                         evaluation.batches, recipe_.patience,   {}};
    RunEvents events;
    if (is_first) {
      log_.emplace(folder_, name, resumed);
      settings.earlier_evaluations = log_->evaluations();
      progress_.emplace(what, static_cast<std::uint64_t>(std::max<std::int64_t>(1, recipe_.steps - resumed)));
      events = observers();
    }
    if (group != nullptr) share_evaluations(*group, settings);
    const auto start = CourseClock::now();
    mark();
    report_.first_step = run_training(trainer_, settings, sink.get(), evaluation.data, events);
    progress_.reset();
    report_.seconds = seconds_since(start);
    report_.steps = trainer_.steps();
    if (is_first) finish();
    return report_;
  }

 private:
  // Only rank 0 reads the log; patience must end all processes at one step.
  void share_evaluations(ProcessGroup& group, RunSettings& settings) const {
    const at::Tensor count = at::tensor({static_cast<std::int64_t>(settings.earlier_evaluations.size())}, at::kLong);
    group.broadcast(count);
    at::Tensor losses = at::zeros({count.item<std::int64_t>()}, at::kDouble);
    if (trainer_.is_first()) losses = at::tensor(settings.earlier_evaluations, at::kDouble);
    if (losses.numel() == 0) return;
    group.broadcast(losses);
    const auto* const values = losses.data_ptr<double>();
    settings.earlier_evaluations.assign(values, values + losses.numel());
  }

  RunEvents observers() {
    RunEvents events;
    events.on_step = [this](const StepReport& report) { take_step(report); };
    events.on_evaluation = [this](const EvaluationReport& report) { take_evaluation(report); };
    events.on_checkpoint = [this](std::int64_t) {
      log_->draw();
      mark();
    };
    return events;
  }

  void mark() {
    mark_ = CourseClock::now();
    ticks_ = std::clock();
  }

  void take_step(const StepReport& report) {
    const double seconds = seconds_since(mark_);
    report_.stepping_seconds += seconds;
    report_.processor_seconds += static_cast<double>(std::clock() - ticks_) / CLOCKS_PER_SEC;
    mark();
    report_.stepped_tokens += report.tokens;
    recent_seconds_ += seconds;
    recent_tokens_ += report.tokens;
    progress_->set_note(fmt::format("loss {:.3f}{}", report.loss, evaluation_note_));
    progress_->advance(1);
    if (report.step % recipe_.log_every != 0 && report.step != recipe_.steps && report.step != 1) return;
    const double rate = recent_seconds_ > 0 ? static_cast<double>(recent_tokens_) / recent_seconds_ : 0.0;
    NamedNumbers numbers = {
        {"loss", report.loss}, {"lr", report.lr}, {"gradient_norm", report.gradient_norm}, {"tokens_per_second", rate}};
    if (hooks_.step_numbers) append(numbers, hooks_.step_numbers(report));
    log_->write(report.step, numbers);
    recent_seconds_ = 0;
    recent_tokens_ = 0;
  }

  void take_evaluation(const EvaluationReport& report) {
    NamedNumbers numbers = {{kEvaluationLoss, report.loss}};
    if (hooks_.evaluation_numbers) append(numbers, hooks_.evaluation_numbers(report));
    log_->write(report.step, numbers);
    log_->draw();
    evaluation_note_ = fmt::format(", validation {:.3f}", report.loss);
    if (report.is_best) save_model(folder_ / "best");
    mark();
  }

  static void append(NamedNumbers& numbers, const NamedNumbers& more) {
    numbers.insert(numbers.end(), more.begin(), more.end());
  }

  void save_model(const fs::path& path) const {
    AtomicFolder folder(path);
    save_decoder(folder.temporary(), trainer_.decoder());
    hooks_.add_tokenizer(folder.temporary());
    folder.commit_replacing();
  }

  void finish() {
    save_model(folder_ / "model");
    log_->draw();
    for (const MetricsLine& line : read_metrics(folder_ / "metrics.jsonl")) {
      if (const auto loss = line.value("loss")) report_.loss = loss;
      const auto evaluated = line.value(kEvaluationLoss);
      if (!evaluated) continue;
      report_.evaluation_loss = evaluated;
      if (report_.best_evaluation_loss && *evaluated >= *report_.best_evaluation_loss) continue;
      report_.best_evaluation_loss = evaluated;
      report_.best_step = line.step;
    }
  }

  const CourseRecipe& recipe_;
  const fs::path& folder_;
  LanguageTrainer& trainer_;
  const CourseHooks& hooks_;
  CourseReport report_;
  std::optional<RunLog> log_;
  std::optional<Progress> progress_;
  std::string evaluation_note_;
  CourseClock::time_point mark_;  // the end of what was done before the step
  std::clock_t ticks_ = 0;
  double recent_seconds_ = 0;
  std::int64_t recent_tokens_ = 0;
};

}  // namespace

LanguageSettings trainer_settings(const CourseRecipe& recipe) {
  LanguageSettings settings;
  settings.accumulation = recipe.accumulation;
  settings.clip = recipe.clip;
  settings.precision = recipe.precision;
  settings.optimizer = recipe.optimizer;
  settings.learning_rate = [lr = recipe.lr, schedule = recipe.schedule](std::int64_t step) {
    return lr * schedule.factor(step);
  };
  return settings;
}

CourseReport run_course(const CourseRecipe& recipe, const fs::path& folder, const std::string& name,
                        const std::string& what, LanguageTrainer& trainer, const CourseEvaluation& evaluation,
                        const CourseHooks& hooks, ProcessGroup* group) {
  return Course(recipe, folder, trainer, hooks).run(name, what, evaluation, group);
}

}  // namespace kinglet
