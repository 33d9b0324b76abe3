#include "kinglet/methods/mgsr/distill_run.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/log.h"
#include "kinglet/methods/mgsr/answers.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/language_corpora.h"
#include "kinglet/train/run_folder.h"
#include "kinglet/train/training_course.h"

namespace kinglet::mgsr {
namespace fs = std::filesystem;
namespace {

std::string shown_token(const Tokenizer& tokenizer, TokenId id) {
  try {
    return fmt::format("'{}'", printable(tokenizer.token(id)));
  } catch (const Error&) {
    return "missing";
  }
}

class DistillRun {
 public:
  DistillRun(DistillRecipe recipe, fs::path folder) : recipe_(std::move(recipe)), folder_(std::move(folder)) {
    load_tokenizer();
    load_data();
    load_models();
    prepare_settings();
    prepare_cache();
    prepare_trainer();
  }

  DistillRunSummary summary() const {
    DistillRunSummary summary;
    summary.folder = folder_;
    summary.model = folder_ / "model";
    summary.method = recipe_.method;
    summary.student_parameters = count(*student_);
    if (teacher_) summary.teacher_parameters = count(*teacher_);
    summary.vocabulary = vocabulary();
    summary.reading = reading_;
    summary.steps = trainer_->steps();
    if (!recipe_.cache.empty() && fs::exists(recipe_.cache)) summary.cache_bytes = fs::file_size(recipe_.cache);
    return summary;
  }

  std::int64_t steps() const { return recipe_.steps; }

  void train(DistillRunSummary& summary) {
    CourseHooks hooks;
    hooks.step_numbers = [this](const StepReport&) { return step_numbers(); };
    hooks.evaluation_numbers = [this](const EvaluationReport& report) { return evaluation_numbers(report); };
    hooks.add_tokenizer = [this](const fs::path& model) { copy_tokenizer_files(tokenizer_folder(), model); };
    const CourseReport report = run_course(recipe_, folder_, recipe_.name, "distilling", *trainer_,
                                           {validation_.get(), evaluation_batches_}, hooks);
    summary.first_step = report.first_step;
    summary.steps = report.steps;
    if (report.steps > report.first_step) {
      const auto steps = static_cast<double>(report.steps - report.first_step);
      summary.seconds_a_step = report.stepping_seconds / steps;
      summary.processor_seconds_a_step = report.processor_seconds / steps;
    }
    summary.evaluation_loss = report.evaluation_loss;
    summary.best_evaluation_loss = report.best_evaluation_loss;
    if (!validation_) return;
    if (teacher_) summary.divergence = divergence();
    if (recipe_.answers > 0) score(summary);
  }

 private:
  static std::int64_t count(const Decoder& decoder) {
    std::int64_t parameters = 0;
    for (const at::Tensor& parameter : decoder.parameters()) parameters += parameter.numel();
    return parameters;
  }
  std::int64_t vocabulary() const { return tokenizer_->vocabulary_size(); }
  fs::path tokenizer_folder() const {
    if (!recipe_.tokenizer.empty()) return recipe_.tokenizer;
    return recipe_.student.empty() ? recipe_.teacher : recipe_.student;
  }

  void load_tokenizer() {
    const fs::path folder = tokenizer_folder();
    if (folder.empty()) {
      throw bad_input("student.tokenizer", "is missing, and there is neither a student nor a teacher with one",
                      "name a folder with a tokenizer");
    }
    tokenizer_ = Tokenizer::load(folder);
    if (!recipe_.teacher.empty() && recipe_.teacher != folder) {
      check_same_tokenizer(*Tokenizer::load(recipe_.teacher), *tokenizer_);
    }
  }

  std::optional<ChatTemplate> chat_template() const {
    if (recipe_.chat == "plain") return std::nullopt;
    auto chat = ChatTemplate::load(tokenizer_folder());
    if (!chat && recipe_.chat == "template") {
      throw bad_input(tokenizer_folder().string(), "the tokenizer has no chat template",
                      "put one beside it, or set data.chat = \"plain\"");
    }
    return chat;
  }

  std::vector<Example> read(const std::vector<fs::path>& paths, ReadingReport& report, bool with_spans) const {
    const auto chat = chat_template();
    ReadingSettings settings = recipe_.reading;
    if (!with_spans) settings.spans_field.clear();
    std::vector<Example> all;
    for (const fs::path& path : paths) {
      ReadingReport one;
      for (Example& example : read_examples(path, *tokenizer_, chat ? &*chat : nullptr, settings, one)) {
        example.number = static_cast<std::int64_t>(all.size());
        all.push_back(std::move(example));
      }
      report.examples += one.examples;
      report.long_prompts += one.long_prompts;
      report.empty_responses += one.empty_responses;
      report.cut_responses += one.cut_responses;
    }
    return all;
  }

  void load_data() {
    const TokenId padding = tokenizer_->padding().value_or(tokenizer_->eos().value_or(0));
    data_ =
        std::make_shared<InstructionData>(read(recipe_.train, reading_, true), recipe_.batch, padding, recipe_.seed);
    if (reading_.long_prompts > 0) {
      log_warning("{} examples with a prompt of more than {} tokens were left out", reading_.long_prompts,
                  recipe_.reading.longest_prompt);
    }
    if (reading_.cut_responses > 0) {
      log_warning("{} responses were cut at {} tokens with their prompt", reading_.cut_responses,
                  recipe_.reading.longest);
    }
    if (recipe_.steps == 0) {
      const auto examples = static_cast<double>(data_->all().size());
      const double steps = recipe_.epochs * examples / static_cast<double>(recipe_.batch * recipe_.accumulation);
      set_total_steps(recipe_, std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(std::min(steps, 1e9)))));
    }
    if (recipe_.validation.empty()) return;
    ReadingReport unused;
    std::vector<Example> examples = read(recipe_.validation, unused, false);
    const auto size = static_cast<std::int64_t>(examples.size());
    const std::int64_t batch = std::min(recipe_.batch, size);
    validation_ = std::make_shared<InstructionData>(std::move(examples), batch, padding, 0);
    evaluation_batches_ = std::max<std::int64_t>(1, size / batch);
    if (recipe_.evaluation_batches > 0) evaluation_batches_ = std::min(evaluation_batches_, recipe_.evaluation_batches);
  }

  void load_models() {
    ModelPurpose purpose;
    purpose.vocabulary_size = vocabulary();
    purpose.tokens = recipe_.reading.longest;
    if (const auto bos = tokenizer_->bos()) purpose.bos = {*bos};
    if (const auto eos = tokenizer_->eos()) purpose.eos = {*eos};
    purpose.seed = recipe_.seed;
    student_ = recipe_.model(purpose);
    student_->set_checkpointing(recipe_.recompute);
    check_model(*student_, "student");
    if (recipe_.teacher.empty()) return;
    teacher_ = load_decoder(recipe_.teacher, recipe_.teacher_type, LoadPurpose::kUse);
    for (const at::Tensor& parameter : teacher_->parameters()) at::Tensor(parameter).requires_grad_(false);
    check_model(*teacher_, "teacher");
    if (teacher_->config().vocabulary_size != student_->config().vocabulary_size) {
      log_warning(
          "teacher and student have {} and {} rows for the {} tokens of their tokenizer; the others are left out",
          teacher_->config().vocabulary_size, student_->config().vocabulary_size, vocabulary());
    }
  }

  void check_model(const Decoder& model, const char* whose) const {
    if (model.config().vocabulary_size < vocabulary()) {
      throw bad_input(whose,
                      fmt::format("the tokenizer has {} tokens, the model's embedding {}", vocabulary(),
                                  model.config().vocabulary_size),
                      "take the tokenizer that the model was made with");
    }
    if (model.config().max_positions < recipe_.reading.longest) {
      throw bad_input("data.longest",
                      fmt::format("{} is more than the {}'s {} positions", recipe_.reading.longest, whose,
                                  model.config().max_positions),
                      "lower it");
    }
  }

  void prepare_settings() {
    DistillationSettings& settings = recipe_.distillation;
    settings.writing.longest = recipe_.reading.longest;
    settings.writing.vocabulary = vocabulary();
    settings.writing.padding = data_->padding();
    std::set<TokenId> ends;
    if (const auto eos = tokenizer_->eos()) ends.insert(*eos);
    for (const std::int64_t id : student_->config().eos) ends.insert(static_cast<TokenId>(id));
    settings.writing.ends.assign(ends.begin(), ends.end());
    settings.steps = recipe_.steps;
    settings.accumulation = recipe_.accumulation;
    settings.seed = recipe_.seed;
  }

  // The examples of all steps, once each.
  std::vector<std::int64_t> examples_of_the_run() const {
    std::set<std::int64_t> numbers;
    for (std::int64_t batch = 0; batch < recipe_.steps * recipe_.accumulation; ++batch) {
      if (numbers.size() == data_->all().size()) break;
      for (const Example& example : data_->examples(batch)) numbers.insert(example.number);
    }
    return {numbers.begin(), numbers.end()};
  }

  void prepare_cache() {
    if (recipe_.cache.empty() || !recipe_.distillation.loss.needs_teacher()) return;
    if (recipe_.cache_top_k > vocabulary()) {
      throw bad_input("teacher.cache_top_k",
                      fmt::format("{} is more than the {} tokens of the vocabulary", recipe_.cache_top_k, vocabulary()),
                      "lower it, or leave it out for all");
    }
    if (!fs::exists(recipe_.cache)) {
      const nn::PrecisionGuard guard(recipe_.precision);
      write_teacher_cache(recipe_.cache, *teacher_, data_->all(), examples_of_the_run(), vocabulary(),
                          recipe_.cache_top_k, recipe_.batch);
    }
    cache_ = std::make_shared<TeacherCache>(recipe_.cache, data_->all(), vocabulary());
    const bool other_teacher = teacher_ && cache_->teacher_hash() != hash_of_weights(*teacher_);
    if (other_teacher || cache_->top_k() != recipe_.cache_top_k) {
      throw bad_input(recipe_.cache.string(),
                      other_teacher ? "it holds the logits of another teacher" : "it was made with another cache_top_k",
                      "delete the file, or name another one");
    }
  }

  void prepare_trainer() {
    objective_ = std::make_shared<Distillation>(recipe_.distillation, teacher_, data_, tokenizer_, cache_);
    LanguageSettings settings = trainer_settings(recipe_);
    settings.objective = objective_;
    trainer_ = std::make_unique<LanguageTrainer>(student_, data_, settings);
  }

  NamedNumbers step_numbers() const {
    NamedNumbers numbers = objective_->take_report().numbers();
    if (recipe_.distillation.schedule.policy == SequencePolicy::kAdaptive) {
      numbers.emplace_back("threshold", objective_->threshold());
    }
    return numbers;
  }

  NamedNumbers evaluation_numbers(const EvaluationReport& report) const {
    objective_->note_validation(report.loss);
    if (!teacher_) return {};
    return {{"eval_divergence", divergence()}};
  }

  double divergence() const {
    const nn::PrecisionGuard guard(recipe_.precision);
    return validation_divergence(*student_, *teacher_, *validation_, evaluation_batches_, vocabulary());
  }

  void score(DistillRunSummary& summary) const {
    const auto& all = validation_->all();
    const std::vector<Example> asked(
        all.begin(), all.begin() + std::min<std::ptrdiff_t>(recipe_.answers, static_cast<std::ptrdiff_t>(all.size())));
    WritingSettings writing = recipe_.distillation.writing;
    writing.temperature = 0;
    const nn::PrecisionGuard guard(recipe_.precision);
    const AnswerScores scores = score_answers(*student_, *tokenizer_, asked, writing, recipe_.batch, recipe_.seed);
    summary.rouge_l = scores.rouge_l.mean;
    summary.rouge_l_error = scores.rouge_l.error;
    summary.exact_match = scores.exact_match;
    std::string lines;
    for (const Answer& answer : scores.answers) {
      lines +=
          nlohmann::ordered_json{{"answer", answer.text}, {"reference", answer.reference}, {"rouge_l", answer.rouge_l}}
              .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
          "\n";
    }
    write_file_atomically(folder_ / "answers.jsonl", as_bytes(lines));
  }

  DistillRecipe recipe_;
  fs::path folder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<InstructionData> data_, validation_;
  std::int64_t evaluation_batches_ = 0;
  ReadingReport reading_;
  std::shared_ptr<Decoder> student_, teacher_;
  std::shared_ptr<TeacherCache> cache_;
  std::shared_ptr<Distillation> objective_;
  std::unique_ptr<LanguageTrainer> trainer_;
};

}  // namespace

void check_same_tokenizer(const Tokenizer& teacher, const Tokenizer& student) {
  const char* const remedy = "distil between models of one tokenizer; their distributions are compared token by token";
  const auto refuse = [&](const std::string& what) { throw bad_input("teacher and student", what, remedy); };
  if (teacher.vocabulary_size() != student.vocabulary_size()) {
    refuse(fmt::format("have different tokenizers: {} and {} tokens", teacher.vocabulary_size(),
                       student.vocabulary_size()));
  }
  for (TokenId id = 0; id < teacher.vocabulary_size(); ++id) {
    const std::string first = shown_token(teacher, id), second = shown_token(student, id);
    if (first != second) refuse(fmt::format("have different tokenizers: token {} is {} and {}", id, first, second));
  }
  const auto special = [](const std::optional<TokenId>& id) { return id ? std::to_string(*id) : std::string("none"); };
  if (teacher.eos() != student.eos()) {
    refuse(fmt::format("end a text with different tokens: {} and {}", special(teacher.eos()), special(student.eos())));
  }
}

DistillRunSummary run_distill_recipe(Recipe recipe, const DistillRunOptions& options, const RecipeKinds& kinds) {
  const std::string name = fs::path(recipe.where()).stem().string();
  RecipeReader reader(std::move(recipe));
  DistillRecipe read = read_distill_recipe(reader, kinds, name);
  reader.finish();
  const fs::path folder = options.out.empty() ? fs::path("runs") / read.name : options.out;
  const RunFolder owner(folder, reader.resolved(), options.allow_changes);
  DistillRun run(std::move(read), folder);
  DistillRunSummary summary = run.summary();
  if (options.stop_before_training) {
    summary.steps = run.steps();
    return summary;
  }
  run.train(summary);
  return summary;
}

}  // namespace kinglet::mgsr
