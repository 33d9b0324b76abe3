// Does MGSR help on real instruction data? Questions about words of a dictionary (Debian's dict-gcide): a teacher, a
// student that has begun to learn, then every method for equally many steps, with several seeds.
//
//   build/bench/mgsr_words --out FOLDER [--steps N] [--seeds N] [--arms "kd,mgsr - scrg"] [--threads N]
//   [--vocabulary N] [--teacher-width N] [--teacher-layers N] [--teacher-steps N]
//   [--student-width N] [--student-layers N] [--start-steps N]
//
// The folder keeps every run; called again, it goes on. At the end it prints the table of what is complete and writes
// curves.svg and rouge.svg.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "bench/support/command_line.h"

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/parallel.h"
#include "kinglet/base/plot.h"
#include "kinglet/io/metrics.h"
#include "kinglet/methods/mgsr/answers.h"
#include "kinglet/methods/mgsr/distill_run.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/text/answer_scores.h"
#include "kinglet/text/data_import.h"
#include "kinglet/train/language_run.h"
#include "kinglet/train/torch_threads.h"

namespace {

namespace fs = std::filesystem;
using namespace kinglet;
using nlohmann::json;

struct Options {
  fs::path out;
  std::string arms;  // ",a,b,"; empty: all
  int steps = 100, seeds = 3, threads = 1, vocabulary = 2048;
  int teacher_width = 192, teacher_layers = 4, teacher_steps = 400;
  int student_width = 64, student_layers = 2, start_steps = 200;

  bool wants(const std::string& arm) const { return arms.empty() || arms.find("," + arm + ",") != std::string::npos; }
};

constexpr const char* kModelRecipe = R"(
seed = 1
[data]
train = ["words/some.jsonl"]
validation = ["words/validation.jsonl"]
tokens = 128
packing = "best-fit"
[training]
batch = 8
steps = 1
[optimizer]
lr = 2e-3
[schedule]
warm_up_part = 0.05
[evaluation]
every = 200
batches = 16
[checkpoints]
every = 100
[model]
max_positions = 256
)";

constexpr const char* kDistillRecipe = R"(
[teacher]
from = "teacher/model"
[student]
from = "start/model"
[data]
train = ["words/fewer.jsonl"]
validation = ["words/validation.jsonl"]
longest_prompt = 48
longest = 112
[sequences]
threshold = 0.5
buffer = 320
[training]
batch = 8
log_every = 10
[optimizer]
lr = 1e-3
[schedule]
kind = "cosine"
minimum_ratio = 0.1
[evaluation]
batches = 16
[checkpoints]
every = 50
)";

struct Arm {
  const char* name;
  std::vector<std::string> sets;
  bool drawn = false;    // in curves.svg
  bool control = false;  // of a part of MGSR: after the methods
};

const std::vector<Arm> kArms = {
    {"sft", {"method=sft"}, true},
    {"kd", {"method=kd"}, true},
    {"seqkd", {"method=seqkd"}, true},
    {"gkd", {"method=gkd"}, true},
    {"distillm", {"method=distillm"}, true},
    {"mgsr", {"method=mgsr"}, true},
    {"mgsr - scrg", {"method=mgsr", "scrg.rounds=0"}},
    {"mgsr - dac", {"method=mgsr", "loss.dac=0", "loss.divergence=1"}},
    {"mgsr - span", {"method=mgsr", "loss.span=0"}},
    {"mgsr, random position", {"method=mgsr", "scrg.random_position=true"}, false, true},
    {"mgsr, fixed band", {"method=mgsr", "dac.limits=fixed"}, false, true},
    {"mgsr, 99 % kept", {"method=mgsr", "dac.keep_floor=0.99"}, false, true},
    {"mgsr, random spans", {"method=mgsr", "spans.source=random"}, false, true},
    {"mgsr, windows as spans", {"method=mgsr", "spans.source=window"}, false, true},
};

Recipe recipe_in(const fs::path& folder, const std::string& text, const std::string& name) {
  const fs::path path = folder / (name + ".toml");
  write_file_atomically(path, as_bytes(text));
  return Recipe::load(path);
}

// Every n-th line.
void thin(const fs::path& from, const fs::path& to, int n) {
  std::ifstream lines(from);
  std::string some, line;
  for (int number = 0; std::getline(lines, line); ++number) {
    if (number % n == 0) some += line + "\n";
  }
  write_file_atomically(to, as_bytes(some));
}

void make_data(const Options& options) {
  const fs::path words = options.out / "words";
  if (fs::exists(words / "fewer.jsonl")) return;
  ImportOptions import;
  import.as = ImportForm::kInstructions;
  import.out = words;
  import.validation = 0.01;
  if (!fs::exists(words / "train.jsonl")) import_data(import);
  // What a run reads; all of it would only cost every run the time to tokenize it.
  thin(words / "train.jsonl", words / "some.jsonl", 3);
  thin(words / "train.jsonl", words / "fewer.jsonl", 16);
}

void make_models(const Options& options) {
  struct Shape {
    const char* name;
    int width, layers, steps;
  };
  for (const Shape& shape : {Shape{"teacher", options.teacher_width, options.teacher_layers, options.teacher_steps},
                             Shape{"start", options.student_width, options.student_layers, options.start_steps}}) {
    Recipe recipe = recipe_in(options.out, kModelRecipe, shape.name);
    for (const auto& [key, value] : {std::pair{"model.hidden_size", shape.width},
                                     {"model.num_layers", shape.layers},
                                     {"model.num_heads", std::max(1, shape.width / 32)},
                                     {"model.intermediate_size", shape.width * 8 / 3 / 32 * 32},
                                     {"training.steps", shape.steps}}) {
      recipe.set(fmt::format("{}={}", key, value));
    }
    recipe.set(fmt::format("tokenizer.vocabulary_size={}", options.vocabulary));
    if (std::strcmp(shape.name, "start") == 0) {
      recipe.set("tokenizer.vocabulary_size=0");
      recipe.set("tokenizer.path=" + (options.out / "teacher/tokenizer").string());
    }
    LanguageRunOptions run;
    run.out = options.out / shape.name;
    const LanguageRunSummary summary = run_language_recipe(std::move(recipe), run, basic_kinds());
    std::printf("%-8s %.2f M parameters, %lld steps, validation loss %.3f\n", shape.name,
                static_cast<double>(summary.parameters) * 1e-6, static_cast<long long>(summary.steps),
                summary.evaluation_loss.value_or(0));
  }
}

std::string file_name(const Arm& arm, int seed) {
  std::string name = arm.name;
  for (char& c : name) c = c == ' ' || c == ',' ? '-' : c;
  return fmt::format("{}-{}", name, seed);
}

// The numbers of a run that was trained, or nothing.
std::optional<json> finished(const Options& options, const Arm& arm, int seed) {
  const fs::path file = options.out / (file_name(arm, seed) + ".json");
  if (!fs::exists(file)) return std::nullopt;
  return json::parse(as_text(read_file(file)));
}

// ROUGE-L of answers that are drawn at temperature 1, as the papers of this field do it; the greedy answers of a model
// that has hardly begun to learn are one word over and over. Mean over three draws, per cent.
double rouge_of_samples(const Options& options, const fs::path& model) {
  constexpr std::size_t kAnswers = 100;
  const auto tokenizer = Tokenizer::load(model);
  mgsr::ReadingSettings reading;
  reading.longest_prompt = 48;
  mgsr::WritingSettings writing;
  reading.longest = writing.longest = 112;
  if (const auto eos = tokenizer->eos()) writing.ends = {*eos};
  writing.padding = tokenizer->padding().value_or(tokenizer->eos().value_or(0));
  writing.vocabulary = tokenizer->vocabulary_size();
  mgsr::ReadingReport unused;
  std::vector<mgsr::Example> asked =
      mgsr::read_examples(options.out / "words/validation.jsonl", *tokenizer, nullptr, reading, unused);
  asked.resize(std::min(asked.size(), kAnswers));
  const auto student = load_decoder(model);
  double rouge = 0;
  for (const std::uint64_t draw : {10, 20, 30}) {
    rouge += 100.0 / 3 * mgsr::score_answers(*student, *tokenizer, asked, writing, 25, draw).rouge_l.mean;
  }
  return rouge;
}

// Trains, in a folder of its own that goes on when it was cut short; everything but the answers' score.
json train(const Options& options, const Arm& arm, int seed) {
  const fs::path folder = options.out / file_name(arm, seed);
  Recipe recipe = recipe_in(options.out, kDistillRecipe, "distill");
  for (const std::string& set : arm.sets) recipe.set(set);
  recipe.set(fmt::format("seed={}", seed));
  recipe.set(fmt::format("training.steps={}", options.steps));
  recipe.set(fmt::format("evaluation.every={}", std::max(1, options.steps / 4)));
  mgsr::DistillRunOptions run;
  run.out = folder;
  const mgsr::DistillRunSummary summary = mgsr::run_distill_recipe(std::move(recipe), run, basic_kinds());
  json result = {{"loss", summary.evaluation_loss.value_or(0)},
                 {"divergence", summary.divergence.value_or(0)},
                 {"seconds", summary.processor_seconds_a_step},
                 {"curve", json::array()}};
  for (const MetricsLine& line : read_metrics(folder / "metrics.jsonl")) {
    if (const auto loss = line.value("eval_loss")) result["curve"].push_back({line.step, *loss});
  }
  return result;
}

void carry_out(const Options& options, const Arm& arm, int seed) {
  const fs::path folder = options.out / file_name(arm, seed), file = folder.string() + ".json";
  std::optional<json> result = finished(options, arm, seed);
  if (!result) {
    result = train(options, arm, seed);
    write_file_atomically(file, as_bytes(result->dump() + "\n"));
    fs::remove_all(folder / "checkpoints");
  }
  if (result->contains("rouge_l")) return;
  (*result)["rouge_l"] = rouge_of_samples(options, folder / "model");
  write_file_atomically(file, as_bytes(result->dump() + "\n"));
  std::fprintf(stderr, "%s, seed %d: ROUGE-L %.2f, validation loss %.4f, %.3f s a step\n", arm.name, seed,
               (*result)["rouge_l"].get<double>(), (*result)["loss"].get<double>(), (*result)["seconds"].get<double>());
}

std::vector<json> results_of(const Options& options, const Arm& arm) {
  std::vector<json> results;
  for (int seed = 1; seed <= options.seeds; ++seed) {
    auto result = finished(options, arm, seed);
    if (result && result->contains("rouge_l")) results.push_back(std::move(*result));
  }
  return results;
}

double mean_of(const std::vector<json>& results, const std::function<double(const json&)>& value) {
  double mean = 0;
  for (const json& result : results) mean += value(result) / static_cast<double>(results.size());
  return mean;
}

std::string mean_text(const std::vector<json>& results, const char* key, int digits) {
  std::vector<double> values;
  for (const json& result : results) values.push_back(result[key].get<double>());
  const MeanAndError mean = mean_and_error(values);
  const double deviation = mean.error * std::sqrt(static_cast<double>(values.size()));
  return fmt::format("{:.{}f} +- {:.{}f}", mean.mean, digits, deviation, digits);
}

void print_table(const Options& options) {
  std::printf(
      "\n%d steps, mean and standard deviation over seeds; processor time a step\n%-24s %5s  %-16s %-18s %-18s "
      "%7s %6s\n",
      options.steps, "", "seeds", "ROUGE-L", "validation loss", "KL to the teacher", "s/step", "to kd");
  const auto seconds_of = [](const std::vector<json>& results) {
    return mean_of(results, [](const json& result) { return result["seconds"].get<double>(); });
  };
  double base = 0;
  for (const Arm& arm : kArms) {
    const std::vector<json> results = results_of(options, arm);
    if (std::strcmp(arm.name, "kd") == 0 && !results.empty()) base = seconds_of(results);
  }
  for (const Arm& arm : kArms) {
    const std::vector<json> results = results_of(options, arm);
    if (results.empty()) continue;
    const double seconds = seconds_of(results);
    std::printf("%-24s %5zu  %-16s %-18s %-18s %7.3f %6.2f\n", arm.name, results.size(),
                mean_text(results, "rouge_l", 2).c_str(), mean_text(results, "loss", 4).c_str(),
                mean_text(results, "divergence", 4).c_str(), seconds, base > 0 ? seconds / base : 0.0);
  }
}

void draw(const Options& options) {
  LinePlot curves{"Distillation of a dictionary, mean of the seeds", "step", "validation loss", false, {}};
  BarPlot rouge{"ROUGE-L of answers at temperature 1, mean of the seeds", "ROUGE-L", false, {}, {{"ROUGE-L", {}, {}}}};
  for (const Arm& arm : kArms) {
    const std::vector<json> results = results_of(options, arm);
    if (results.empty()) continue;
    rouge.categories.emplace_back(arm.name);
    rouge.series[0].y.push_back(mean_of(results, [](const json& r) { return r["rouge_l"].get<double>(); }));
    if (!arm.drawn) continue;
    PlotSeries series{arm.name, {}, {}, true};
    for (std::size_t i = 0; i < results[0]["curve"].size(); ++i) {
      series.x.push_back(results[0]["curve"][i][0]);
      series.y.push_back(mean_of(results, [i](const json& r) { return r["curve"][i][1].get<double>(); }));
    }
    curves.series.push_back(std::move(series));
  }
  write_file_atomically(options.out / "curves.svg", as_bytes(to_svg(curves)));
  write_file_atomically(options.out / "rouge.svg", as_bytes(to_svg(rouge, 960, 400)));
}

int run(const Options& options) {
  fs::create_directories(options.out);
  install_interrupt_handler();
  set_num_threads(options.threads);
  share_torch_threads();
  make_data(options);
  make_models(options);
  // Seed by seed, so that a run that is cut short has compared every method.
  for (const bool control : {false, true}) {
    for (int seed = 1; seed <= options.seeds; ++seed) {
      for (const Arm& arm : kArms) {
        if (arm.control == control && options.wants(arm.name)) carry_out(options, arm, seed);
      }
    }
  }
  print_table(options);
  draw(options);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::string out, arms;
  CLI::App app("MGSR and its baselines on questions about words of a dictionary");
  app.add_option("--out", out, "Folder that keeps the runs")->required();
  app.add_option("--arms", arms, "Only these methods, between commas");
  kinglet::add_counts<int>(app, {{"--threads", &options.threads},
                                 {"--steps", &options.steps},
                                 {"--seeds", &options.seeds},
                                 {"--teacher-steps", &options.teacher_steps},
                                 {"--start-steps", &options.start_steps},
                                 {"--teacher-width", &options.teacher_width},
                                 {"--teacher-layers", &options.teacher_layers},
                                 {"--student-width", &options.student_width},
                                 {"--student-layers", &options.student_layers},
                                 {"--vocabulary", &options.vocabulary}});
  return kinglet::run_bench(app, argc, argv, [&] {
    options.out = fs::absolute(out);
    if (!arms.empty()) options.arms = "," + arms + ",";
    return run(options);
  });
}
