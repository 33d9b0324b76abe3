// Does MGSR help on real instruction data? Questions about words of a dictionary (Debian's dict-gcide): a teacher, a
// student that has begun to learn, then every method for equally many steps, with several seeds.
//
//   build/bench/mgsr_words --out FOLDER [--steps N] [--seeds N] [--teacher-steps N] [--start-steps N] [--arm NAME]
//
// The folder keeps every run; called again, it goes on, and prints the table of what is complete.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/methods/mgsr/distill_run.h"
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
  std::string only;  // one arm
  int steps = 200, seeds = 3, teacher_steps = 800, start_steps = 200;
};

constexpr const char* kModelRecipe = R"(
seed = 1
[data]
train = ["words/train.jsonl"]
validation = ["words/validation.jsonl"]
tokens = 128
packing = "best-fit"
[tokenizer]
vocabulary_size = 4096
[training]
batch = 16
steps = 1
precision = "bf16"
[optimizer]
lr = 2e-3
[schedule]
warm_up_part = 0.05
[evaluation]
every = 100
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
train = ["words/train.jsonl"]
validation = ["words/validation.jsonl"]
longest_prompt = 48
longest = 112
[sequences]
threshold = 0.5
buffer = 320
[training]
batch = 16
precision = "bf16"
log_every = 10
[optimizer]
lr = 1e-3
[schedule]
kind = "cosine"
minimum_ratio = 0.1
[evaluation]
batches = 16
answers = 300
[checkpoints]
every = 50
)";

struct Arm {
  const char* name;
  std::vector<std::string> sets;
};

const std::vector<Arm> kArms = {
    {"sft", {"method=sft"}},
    {"kd", {"method=kd"}},
    {"seqkd", {"method=seqkd"}},
    {"gkd", {"method=gkd"}},
    {"distillm", {"method=distillm"}},
    {"mgsr", {"method=mgsr"}},
    {"mgsr - scrg", {"method=mgsr", "scrg.rounds=0"}},
    {"mgsr - dac", {"method=mgsr", "loss.dac=0", "loss.divergence=1"}},
    {"mgsr - span", {"method=mgsr", "loss.span=0"}},
    // Controls of the parts.
    {"mgsr, random position", {"method=mgsr", "scrg.random_position=true"}},
    {"mgsr, fixed band", {"method=mgsr", "dac.limits=fixed"}},
    {"mgsr, random spans", {"method=mgsr", "spans.source=random"}},
    {"mgsr, windows as spans", {"method=mgsr", "spans.source=window"}},
};

Recipe recipe_in(const fs::path& folder, const std::string& text, const std::string& name) {
  const fs::path path = folder / (name + ".toml");
  write_file_atomically(path, as_bytes(text));
  return Recipe::load(path);
}

void make_models(const Options& options) {
  if (!fs::exists(options.out / "words")) {
    ImportOptions import;
    import.as = ImportForm::kInstructions;
    import.out = options.out / "words";
    import.validation = 0.01;
    import_data(import);
  }
  struct Shape {
    const char* name;
    int hidden, layers, heads, intermediate, steps;
  };
  for (const Shape& shape :
       {Shape{"teacher", 256, 6, 4, 704, options.teacher_steps}, Shape{"start", 96, 3, 3, 256, options.start_steps}}) {
    Recipe recipe = recipe_in(options.out, kModelRecipe, shape.name);
    for (const auto& [key, value] : {std::pair{"model.hidden_size", shape.hidden},
                                     {"model.num_layers", shape.layers},
                                     {"model.num_heads", shape.heads},
                                     {"model.intermediate_size", shape.intermediate},
                                     {"training.steps", shape.steps}}) {
      recipe.set(fmt::format("{}={}", key, value));
    }
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

// One run; its numbers stay in a file when it is complete.
json result_of(const Options& options, const Arm& arm, int seed) {
  std::string name = arm.name;
  for (char& c : name) c = c == ' ' || c == ',' ? '-' : c;
  const fs::path folder = options.out / fmt::format("{}-{}", name, seed),
                 file = options.out / fmt::format("{}-{}.json", name, seed);
  if (fs::exists(file)) return json::parse(as_text(read_file(file)));
  Recipe recipe = recipe_in(options.out, kDistillRecipe, "distill");
  for (const std::string& set : arm.sets) recipe.set(set);
  recipe.set(fmt::format("seed={}", seed));
  recipe.set(fmt::format("training.steps={}", options.steps));
  recipe.set(fmt::format("evaluation.every={}", options.steps / 4));
  mgsr::DistillRunOptions run;
  run.out = folder;
  const mgsr::DistillRunSummary summary = mgsr::run_distill_recipe(std::move(recipe), run, basic_kinds());
  const json result = {{"rouge_l", 100 * summary.rouge_l.value_or(0)},
                       {"exact", 100 * summary.exact_match.value_or(0)},
                       {"loss", summary.evaluation_loss.value_or(0)},
                       {"divergence", summary.divergence.value_or(0)},
                       {"seconds", summary.seconds_a_step}};
  write_file_atomically(file, as_bytes(result.dump() + "\n"));
  fs::remove_all(folder / "checkpoints");
  return result;
}

std::string mean_text(const std::vector<json>& results, const char* key, int digits) {
  std::vector<double> values;
  for (const json& result : results) values.push_back(result[key].get<double>());
  const MeanAndError mean = mean_and_error(values);
  const double deviation = mean.error * std::sqrt(static_cast<double>(values.size()));
  return fmt::format("{:.{}f} +- {:.{}f}", mean.mean, digits, deviation, digits);
}

void print_row(const std::string& name, const std::vector<json>& results, double& base) {
  double seconds = 0;
  for (const json& result : results) seconds += result["seconds"].get<double>() / static_cast<double>(results.size());
  if (name == "kd") base = seconds;
  std::printf("%-24s %5zu  %-16s %-18s %-18s %7.3f %6.2f\n", name.c_str(), results.size(),
              mean_text(results, "rouge_l", 2).c_str(), mean_text(results, "loss", 4).c_str(),
              mean_text(results, "divergence", 4).c_str(), seconds, base > 0 ? seconds / base : 0.0);
  std::fflush(stdout);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--out") options.out = fs::absolute(value);
    if (name == "--arm") options.only = value;
    if (name == "--steps") options.steps = std::stoi(value);
    if (name == "--seeds") options.seeds = std::stoi(value);
    if (name == "--teacher-steps") options.teacher_steps = std::stoi(value);
    if (name == "--start-steps") options.start_steps = std::stoi(value);
  }
  if (options.out.empty()) throw bad_input("--out", "is missing", "name a folder for the runs");
  fs::create_directories(options.out);
  return options;
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  install_interrupt_handler();
  share_torch_threads();
  make_models(options);
  std::printf("\n%d steps, mean and standard deviation over seeds\n%-24s %5s  %-16s %-18s %-18s %7s %6s\n",
              options.steps, "", "seeds", "ROUGE-L", "validation loss", "KL to the teacher", "s/step", "to kd");
  // Seed by seed, so that a run that is cut short has compared every method.
  for (int seed = 1; seed <= options.seeds; ++seed) {
    for (const Arm& arm : kArms) {
      if (options.only.empty() || options.only == arm.name) result_of(options, arm, seed);
    }
  }
  double base = 0;
  for (const Arm& arm : kArms) {
    if (!options.only.empty() && options.only != arm.name) continue;
    std::vector<json> results;
    for (int seed = 1; seed <= options.seeds; ++seed) results.push_back(result_of(options, arm, seed));
    print_row(arm.name, results, base);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const kinglet::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.exit_code();
  }
}
