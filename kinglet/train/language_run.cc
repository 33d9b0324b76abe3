#include "kinglet/train/language_run.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/log.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/corpus_batches.h"
#include "kinglet/train/language_corpora.h"
#include "kinglet/train/run_folder.h"
#include "kinglet/train/training_course.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

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
    trainer_ = std::make_unique<LanguageTrainer>(decoder_, data_, trainer_settings(recipe_), group_);
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
    CourseHooks hooks;
    if (decoder_->parts() != nullptr) {
      hooks.evaluation_numbers = [this](const EvaluationReport&) {
        return decoder_->parts()->measure(*decoder_, [this] { trainer_->evaluate(*evaluation_, 1); });
      };
    }
    hooks.add_tokenizer = [this](const fs::path& model) { copy_tokenizer(folder_, model); };
    const CourseReport report = run_course(recipe_, folder_, recipe_.name, "training", *trainer_,
                                           {evaluation_.get(), evaluation_batches_}, hooks, group_.get());
    summary.first_step = report.first_step;
    summary.steps = report.steps;
    summary.seconds = report.seconds;
    if (report.stepping_seconds > 0) {
      summary.tokens_per_second = static_cast<double>(report.stepped_tokens) / report.stepping_seconds;
    }
    summary.loss = report.loss;
    summary.evaluation_loss = report.evaluation_loss;
    summary.best_evaluation_loss = report.best_evaluation_loss;
    summary.best_step = report.best_step;
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
    purpose.sample = [data = data_](std::int64_t batch) { return data->batch(batch).tokens; };
    return purpose;
  }

  LanguageRecipe recipe_;
  fs::path folder_;
  std::shared_ptr<ProcessGroup> group_;
  LanguageCorpora corpora_;
  std::shared_ptr<CorpusBatches> data_, evaluation_;
  std::int64_t evaluation_batches_ = 0;
  std::shared_ptr<Decoder> decoder_;
  std::unique_ptr<LanguageTrainer> trainer_;
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
