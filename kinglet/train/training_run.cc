#include "kinglet/train/training_run.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

class TrainingRun {
 public:
  TrainingRun(LanguageTrainer& trainer, const RunSettings& settings, CheckpointSink* sink,
              const LanguageData* evaluation_data, const RunEvents& events)
      : trainer_(trainer), settings_(settings), sink_(sink), evaluation_data_(evaluation_data), events_(events) {
    for (const double loss : settings_.earlier_evaluations) count(loss);
  }

  std::int64_t run() {
    if (sink_ != nullptr && !sink_->steps().empty()) trainer_.load(sink_->open(sink_->steps().back()));
    trainer_.synchronize();
    saved_ = trainer_.steps();
    const std::int64_t first = trainer_.steps();
    while (trainer_.steps() < settings_.steps && !out_of_patience()) {
      const StepReport report = step();
      if (events_.on_step) events_.on_step(report);
      if (due(settings_.evaluate_every) || (settings_.evaluate_every > 0 && trainer_.steps() == settings_.steps)) {
        evaluate();
      }
      if (due(settings_.save_every) || trainer_.steps() == settings_.steps || out_of_patience()) save();
      if (report.stop) stop();
    }
    return first;
  }

 private:
  bool due(std::int64_t every) const { return every > 0 && trainer_.steps() % every == 0; }

  // A step that was interrupted in the middle counts for nothing; what was finished before is saved.
  StepReport step() {
    try {
      return trainer_.step();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInterrupted) stop();
      throw;
    }
  }

  // Takes an evaluation into account; true when it is the best so far.
  bool count(double loss) {
    const bool is_best = loss < best_;
    best_ = std::min(best_, loss);
    without_progress_ = is_best ? 0 : without_progress_ + 1;
    return is_best;
  }
  bool out_of_patience() const { return settings_.patience > 0 && without_progress_ >= settings_.patience; }

  void evaluate() {
    if (evaluation_data_ == nullptr) return;
    EvaluationReport report{trainer_.steps(), trainer_.evaluate(*evaluation_data_, settings_.evaluation_batches),
                            false};
    report.is_best = count(report.loss);
    if (events_.on_evaluation) events_.on_evaluation(report);
  }

  void save() {
    if (saved_ == trainer_.steps()) return;
    if (sink_ != nullptr) {
      trainer_.save(sink_->begin(trainer_.steps()));
      sink_->commit(trainer_.steps());
    }
    saved_ = trainer_.steps();
    if (events_.on_checkpoint) events_.on_checkpoint(saved_);
  }

  [[noreturn]] void stop() {
    save();
    throw Error(ErrorKind::kInterrupted, fmt::format("step {}", saved_), "interrupted; the checkpoint is saved",
                "run the same command again to continue");
  }

  LanguageTrainer& trainer_;
  const RunSettings& settings_;
  CheckpointSink* sink_;
  const LanguageData* evaluation_data_;
  const RunEvents& events_;
  std::int64_t saved_ = 0;  // the newest step that is safe
  double best_ = std::numeric_limits<double>::infinity();
  std::int64_t without_progress_ = 0;  // evaluations since the best one
};

}  // namespace

std::int64_t run_training(LanguageTrainer& trainer, const RunSettings& settings, CheckpointSink* sink,
                          const LanguageData* evaluation_data, const RunEvents& events) {
  return TrainingRun(trainer, settings, sink, evaluation_data, events).run();
}

}  // namespace kinglet
