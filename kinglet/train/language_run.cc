#include "kinglet/train/language_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/atomic_folder.h"
#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/log.h"
#include "kinglet/base/progress.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/corpus_batches.h"
#include "kinglet/train/language_corpora.h"
#include "kinglet/train/run_folder.h"
#include "kinglet/train/training_run.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::shared_ptr<ProcessGroup> join_processes() {
  const ProcessLayout layout = process_layout_from_environment();
  constexpr int kWaitSeconds = 3600;  // rank 0 may be making a large corpus
  return layout.world > 1 ? std::make_shared<ProcessGroup>(layout, kWaitSeconds) : nullptr;
}

// What every process holds: data, model and trainer.
class LanguageRun {
 public:
  LanguageRun(LanguageRecipe recipe, fs::path folder, std::shared_ptr<ProcessGroup> group)
      : recipe_(std::move(recipe)), folder_(std::move(folder)), group_(std::move(group)) {
    corpora_ = open_language_data(folder_);
    data_ = make_batches(corpora_.train, recipe_.batch, true);
    if (corpora_.validation) prepare_evaluation();
    measure_data();
    decoder_ = recipe_.model(purpose());
    decoder_->set_checkpointing(recipe_.recompute);
    if (recipe_.data.tokens > decoder_->config().max_positions) {
      throw bad_input("data.tokens",
                      fmt::format("{} is more than the model's {} positions", recipe_.data.tokens,
                                  decoder_->config().max_positions),
                      "lower it, or give a new model more max_positions");
    }
    trainer_ = std::make_unique<LanguageTrainer>(decoder_, data_, settings(), group_);
  }

  bool is_first() const { return !group_ || group_->rank() == 0; }
  std::int64_t steps() const { return recipe_.steps; }

  LanguageRunSummary summary() const {
    LanguageRunSummary summary;
    summary.folder = folder_;
    summary.model = folder_ / "model";
    for (const torch::Tensor& parameter : decoder_->parameters()) summary.parameters += parameter.numel();
    summary.vocabulary_size = corpora_.tokenizer->vocabulary_size();
    summary.training_tokens = static_cast<std::int64_t>(corpora_.train->tokens());
    summary.steps = trainer_->steps();
    return summary;
  }

  void train(LanguageRunSummary& summary) {
    std::unique_ptr<CheckpointSink> sink;
    if (is_first()) sink = recipe_.sink(folder_);
    const std::int64_t resumed = sink && !sink->steps().empty() ? sink->steps().back() : 0;
    RunSettings course{recipe_.steps,       recipe_.save_every, evaluation_ ? recipe_.evaluate_every : 0,
                       evaluation_batches_, recipe_.patience,   {}};
    RunEvents events;
    if (is_first()) {
      log_.emplace(folder_, recipe_.name, resumed);
      course.earlier_evaluations = log_->evaluations();
      progress_.emplace("training", static_cast<std::uint64_t>(std::max<std::int64_t>(1, recipe_.steps - resumed)));
      events = observers();
    }
    share_evaluations(course);
    const auto start = Clock::now();
    mark_ = start;
    summary.first_step = run_training(*trainer_, course, sink.get(), evaluation_.get(), events);
    progress_.reset();
    summary.seconds = seconds_since(start);
    summary.steps = trainer_->steps();
    if (stepping_seconds_ > 0) summary.tokens_per_second = static_cast<double>(stepped_tokens_) / stepping_seconds_;
    if (is_first()) finish(summary);
  }

 private:
  std::shared_ptr<CorpusBatches> make_batches(const std::shared_ptr<const TokenCorpus>& corpus, std::int64_t batch,
                                              bool shuffle) const {
    CorpusBatchSettings settings;
    settings.batch = batch;
    settings.tokens = recipe_.data.tokens;
    settings.seed = recipe_.seed;
    settings.packing = recipe_.data.packing;
    settings.shuffle = shuffle;
    settings.separator = corpora_.tokenizer->eos();
    // Conversations end with what their template or EOS says; another separator would teach a second end.
    if (recipe_.data.packing == Packing::kBestFit) settings.separator.reset();
    settings.padding = corpora_.tokenizer->padding().value_or(corpora_.tokenizer->eos().value_or(0));
    settings.separate_documents = recipe_.data.separate_documents;
    return std::make_shared<CorpusBatches>(corpus, settings);
  }

  // All of the validation data once, in whole batches, or as many batches as the recipe says.
  void prepare_evaluation() {
    const auto sequences =
        static_cast<std::int64_t>(make_batches(corpora_.validation, 1, false)->measure_epoch().sequences);
    const std::int64_t batch = std::min(recipe_.batch, std::max<std::int64_t>(1, sequences));
    evaluation_ = make_batches(corpora_.validation, batch, false);
    evaluation_batches_ = std::max<std::int64_t>(1, sequences / batch);
    if (recipe_.evaluation_batches > 0) evaluation_batches_ = std::min(evaluation_batches_, recipe_.evaluation_batches);
  }

  // Steps of the recipe's epochs; also warns of documents that lose their ends.
  void measure_data() {
    const bool by_epochs = recipe_.steps == 0;
    if (!by_epochs && recipe_.data.packing != Packing::kBestFit) return;
    const CorpusBatches::Epoch epoch = data_->measure_epoch();
    if (epoch.truncated > 0 && is_first()) {
      log_warning("{} of {} documents have more than {} tokens and lose their ends", epoch.truncated,
                  corpora_.train->documents(), recipe_.data.tokens);
    }
    if (!by_epochs) return;
    const std::int64_t world = group_ ? group_->world() : 1;
    const auto a_step = static_cast<double>(recipe_.batch * recipe_.accumulation * world);
    const double steps = std::ceil(recipe_.epochs * static_cast<double>(epoch.sequences) / a_step);
    set_total_steps(recipe_, std::max<std::int64_t>(1, static_cast<std::int64_t>(std::min(steps, 1e9))));
  }

  ModelPurpose purpose() const {
    ModelPurpose purpose;
    purpose.vocabulary_size = corpora_.tokenizer->vocabulary_size();
    purpose.tokens = recipe_.data.tokens;
    if (const auto bos = corpora_.tokenizer->bos()) purpose.bos = {*bos};
    if (const auto eos = corpora_.tokenizer->eos()) purpose.eos = {*eos};
    purpose.seed = recipe_.seed;
    return purpose;
  }

  LanguageSettings settings() const {
    LanguageSettings settings;
    settings.accumulation = recipe_.accumulation;
    settings.clip = recipe_.clip;
    settings.precision = recipe_.precision;
    settings.optimizer = recipe_.optimizer;
    settings.learning_rate = [lr = recipe_.lr, schedule = recipe_.schedule](std::int64_t step) {
      return lr * schedule.factor(step);
    };
    return settings;
  }

  // Only rank 0 reads the log; patience must end all processes at one step.
  void share_evaluations(RunSettings& course) const {
    if (!group_) return;
    const at::Tensor count = at::tensor({static_cast<std::int64_t>(course.earlier_evaluations.size())}, at::kLong);
    group_->broadcast(count);
    at::Tensor losses = at::zeros({count.item<std::int64_t>()}, at::kDouble);
    if (is_first()) losses = at::tensor(course.earlier_evaluations, at::kDouble);
    if (losses.numel() == 0) return;
    group_->broadcast(losses);
    const auto* const values = losses.data_ptr<double>();
    course.earlier_evaluations.assign(values, values + losses.numel());
  }

  RunEvents observers() {
    RunEvents events;
    events.on_step = [this](const StepReport& report) { take_step(report); };
    events.on_evaluation = [this](const EvaluationReport& report) { take_evaluation(report); };
    events.on_checkpoint = [this](std::int64_t) {
      log_->draw();
      mark_ = Clock::now();
    };
    return events;
  }

  void take_step(const StepReport& report) {
    const double seconds = seconds_since(mark_);
    mark_ = Clock::now();
    stepping_seconds_ += seconds;
    stepped_tokens_ += report.tokens;
    recent_seconds_ += seconds;
    recent_tokens_ += report.tokens;
    progress_->set_note(fmt::format("loss {:.3f}{}", report.loss, evaluation_note_));
    progress_->advance(1);
    if (report.step % recipe_.log_every != 0 && report.step != recipe_.steps && report.step != 1) return;
    const double rate = recent_seconds_ > 0 ? static_cast<double>(recent_tokens_) / recent_seconds_ : 0.0;
    log_->write(report.step, {{"loss", report.loss},
                              {"lr", report.lr},
                              {"gradient_norm", report.gradient_norm},
                              {"tokens_per_second", rate}});
    recent_seconds_ = 0;
    recent_tokens_ = 0;
  }

  void take_evaluation(const EvaluationReport& report) {
    log_->write(report.step, {{kEvaluationLoss, report.loss}});
    if (decoder_->parts() != nullptr) {
      const NamedNumbers measured =
          decoder_->parts()->measure(*decoder_, [this] { trainer_->evaluate(*evaluation_, 1); });
      if (!measured.empty()) log_->write(report.step, measured);
    }
    log_->draw();
    evaluation_note_ = fmt::format(", validation {:.3f}", report.loss);
    if (report.is_best) save_model(folder_ / "best");
    mark_ = Clock::now();
  }

  void save_model(const fs::path& path) const {
    AtomicFolder folder(path);
    save_decoder(folder.temporary(), *decoder_);
    copy_tokenizer(folder_, folder.temporary());
    folder.commit_replacing();
  }

  void finish(LanguageRunSummary& summary) const {
    save_model(summary.model);
    log_->draw();
    for (const MetricsLine& line : read_metrics(folder_ / "metrics.jsonl")) {
      if (const auto loss = line.value("loss")) summary.loss = loss;
      const auto evaluated = line.value(kEvaluationLoss);
      if (!evaluated) continue;
      summary.evaluation_loss = evaluated;
      if (summary.best_evaluation_loss && *evaluated >= *summary.best_evaluation_loss) continue;
      summary.best_evaluation_loss = evaluated;
      summary.best_step = line.step;
    }
  }

  LanguageRecipe recipe_;
  fs::path folder_;
  std::shared_ptr<ProcessGroup> group_;
  LanguageCorpora corpora_;
  std::shared_ptr<CorpusBatches> data_, evaluation_;
  std::int64_t evaluation_batches_ = 0;
  std::shared_ptr<Decoder> decoder_;
  std::unique_ptr<LanguageTrainer> trainer_;

  std::optional<RunLog> log_;
  std::optional<Progress> progress_;
  std::string evaluation_note_;
  Clock::time_point mark_;  // the end of what was done before the step
  double stepping_seconds_ = 0, recent_seconds_ = 0;
  std::int64_t stepped_tokens_ = 0, recent_tokens_ = 0;
};

}  // namespace

LanguageRunSummary run_language_recipe(Recipe recipe, const LanguageRunOptions& options, const RecipeKinds& kinds) {
  const std::string name = fs::path(recipe.where()).stem().string();
  RecipeReader reader(std::move(recipe));
  LanguageRecipe read = read_language_recipe(reader, kinds, name);
  reader.finish();
  const fs::path folder = options.out.empty() ? fs::path("runs") / read.name : options.out;

  const std::shared_ptr<ProcessGroup> group = join_processes();
  const bool is_first = !group || group->rank() == 0;
  std::optional<RunFolder> owner;
  if (is_first) {
    owner.emplace(folder, reader.resolved(), options.allow_changes);
    prepare_language_data(read, folder);
  }
  if (group) group->broadcast(at::zeros({1}));  // the others wait for the data
  LanguageRun run(std::move(read), folder, group);
  LanguageRunSummary summary = run.summary();
  if (options.stop_before_training) {
    summary.steps = run.steps();
    return summary;
  }
  run.train(summary);
  return summary;
}

}  // namespace kinglet
