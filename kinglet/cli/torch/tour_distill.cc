#include "kinglet/cli/torch/tour_distill.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "kinglet/base/files.h"
#include "kinglet/base/plot.h"
#include "kinglet/io/metrics.h"
#include "kinglet/methods/mgsr/distill_run.h"
#include "kinglet/text/data_import.h"
#include "kinglet/train/language_run.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTourModelRecipe = R"(
[data]
train = ["words/some.jsonl"]
validation = ["words/validation.jsonl"]
tokens = 128
packing = "best-fit"
[training]
batch = 8
steps = 1
[optimizer]
lr = 3e-3
[schedule]
warm_up_part = 0.1
[evaluation]
every = 1000000
batches = 8
[checkpoints]
every = 1000000
[model]
max_positions = 256
)";

constexpr const char* kTourDistillRecipe = R"(
[teacher]
from = "teacher/model"
[student]
from = "start/model"
[data]
train = ["words/some.jsonl"]
validation = ["words/validation.jsonl"]
longest_prompt = 48
longest = 96
[sequences]
threshold = 0.5
buffer = 160
[training]
batch = 8
steps = 1
[optimizer]
lr = 1e-3
[schedule]
kind = "cosine"
minimum_ratio = 0.1
[evaluation]
every = 1000000
batches = 8
answers = 48
[checkpoints]
every = 1000000
)";

// Questions about a few thousand words: every eighth line of the dictionary's.
void write_questions(const fs::path& folder) {
  ImportOptions import;
  import.as = ImportForm::kInstructions;
  import.out = folder / "words";
  import.validation = 0.01;
  import_data(import);
  std::ifstream lines(folder / "words" / "train.jsonl");
  std::string some, line;
  for (int number = 0; std::getline(lines, line); ++number) {
    if (number % 8 == 0) some += line + "\n";
  }
  write_file_atomically(folder / "words" / "some.jsonl", as_bytes(some));
}

Recipe recipe_at(const fs::path& path, const char* text, std::uint64_t seed, int steps) {
  write_file_atomically(path, as_bytes(text));
  Recipe recipe = Recipe::load(path);
  recipe.set(fmt::format("seed={}", seed));
  recipe.set(fmt::format("training.steps={}", steps));
  return recipe;
}

struct TourModelShape {
  const char* name;
  int width, layers, steps;
};

LanguageRunSummary train_model(const fs::path& folder, const TourModelShape& shape, std::uint64_t seed) {
  Recipe recipe = recipe_at(folder / fmt::format("{}.toml", shape.name), kTourModelRecipe, seed, shape.steps);
  recipe.set(fmt::format("model.hidden_size={}", shape.width));
  recipe.set(fmt::format("model.intermediate_size={}", 2 * shape.width));
  recipe.set(fmt::format("model.num_layers={}", shape.layers));
  recipe.set("model.num_heads=4");
  const fs::path tokenizer = folder / "teacher" / "tokenizer";
  recipe.set(fs::exists(tokenizer) ? "tokenizer.path=" + tokenizer.string() : "tokenizer.vocabulary_size=2048");
  LanguageRunOptions run;
  run.out = folder / shape.name;
  return run_language_recipe(std::move(recipe), run, basic_kinds());
}

mgsr::DistillRunSummary distill(const fs::path& folder, const std::string& method, std::uint64_t seed, int steps) {
  Recipe recipe = recipe_at(folder / "distill.toml", kTourDistillRecipe, seed, steps);
  recipe.set("method=" + method);
  mgsr::DistillRunOptions run;
  run.out = folder / method;
  return mgsr::run_distill_recipe(std::move(recipe), run, basic_kinds());
}

std::string scores(const mgsr::DistillRunSummary& summary) {
  return fmt::format("ROUGE-L {:.1f}, validation loss {:.3f}, {:.3f} nats a token from the teacher",
                     100 * summary.rouge_l.value_or(0), summary.evaluation_loss.value_or(0),
                     summary.divergence.value_or(0));
}

nlohmann::ordered_json numbers_of(const mgsr::DistillRunSummary& summary) {
  return {{"rouge_l", summary.rouge_l.value_or(0)},
          {"eval_loss", summary.evaluation_loss.value_or(0)},
          {"eval_divergence", summary.divergence.value_or(0)},
          {"seconds_a_step", summary.seconds_a_step}};
}

PlotSeries training_loss(const fs::path& run, const std::string& name) {
  PlotSeries series{name, {}, {}, false};
  for (const MetricsLine& line : read_metrics(run / "metrics.jsonl")) {
    const auto divergence = line.value("loss");
    if (!divergence) continue;
    series.x.push_back(static_cast<double>(line.step));
    series.y.push_back(*divergence);
  }
  return series;
}

}  // namespace

void run_distill_stop(const TourOptions& options, TourReport& report) {
  const fs::path folder = fs::path(options.output) / "distill";
  fs::create_directories(folder);
  write_questions(folder);
  const int steps = options.quick ? 4 : 60;
  const LanguageRunSummary teacher = train_model(folder, {"teacher", 128, 3, options.quick ? 8 : 160}, options.seed);
  train_model(folder, {"start", 64, 2, options.quick ? 4 : 60}, options.seed);
  const mgsr::DistillRunSummary kd = distill(folder, "kd", options.seed, steps),
                                mgsr = distill(folder, "mgsr", options.seed, steps);

  report.rows.push_back(
      {"MGSR",
       fmt::format("a teacher of {:.1f} M parameters revises what a student of {:.2f} M writes about words, {} steps",
                   static_cast<double>(mgsr.teacher_parameters) * 1e-6,
                   static_cast<double>(mgsr.student_parameters) * 1e-6, steps),
       fmt::format("{}, {:.2f} s a step", scores(mgsr), mgsr.seconds_a_step),
       fmt::format("plain distillation: {}, {:.2f} s", scores(kd), kd.seconds_a_step),
       "kinglet distill recipes/distill-words.toml --set method=mgsr"});
  TourSection section{"MGSR: distillation that revises the student's answers", {}, {}, {}, {}};
  section.paragraphs = {fmt::format(
      "Teacher (validation loss {:.2f}) and student were trained here, for seconds; differences between methods are "
      "smaller than the noise of so short a run. The figures of longer runs are in docs/mgsr.md. Everything is in {}.",
      teacher.evaluation_loss.value_or(0), folder.string())};
  LinePlot plot{"Training loss (of each method's own terms)", "step", "loss", false, {}};
  for (const char* method : {"kd", "mgsr"}) plot.series.push_back(training_loss(folder / method, method));
  section.plots.push_back(to_svg(plot));
  report.sections.push_back(section);
  report.numbers["distill"] = {
      {"teacher_loss", teacher.evaluation_loss.value_or(0)}, {"kd", numbers_of(kd)}, {"mgsr", numbers_of(mgsr)}};
}

}  // namespace kinglet::cli
