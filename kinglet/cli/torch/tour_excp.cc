#include "kinglet/cli/torch/tour_excp.h"

#include <chrono>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/plot.h"
#include "kinglet/base/progress.h"
#include "kinglet/methods/excp/store.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/image_classifier.h"
#include "kinglet/train/plain_checkpoint_sink.h"
#include "kinglet/train/trainer_folder.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;

struct Experiment {
  ImageTensors train, test;
  std::int64_t height = 0, width = 0;
  ClassifierSettings settings;
  std::int64_t save_every = 150;
  std::int64_t resume_step = 0;
  fs::path folder;
};

// A model with its optimizer, initialised from the seed.
struct Learner {
  ImageClassifier model;
  torch::optim::AdamW optimizer;

  static ImageClassifier seeded(const Experiment& experiment) {
    torch::manual_seed(experiment.settings.seed);
    return ImageClassifier(experiment.height, experiment.width, 10);
  }
  explicit Learner(const Experiment& experiment)
      : model(seeded(experiment)),
        optimizer(
            model->parameters(),
            torch::optim::AdamWOptions(experiment.settings.peak_lr).weight_decay(experiment.settings.weight_decay)) {}
};

struct Continuation {
  std::string name;
  double restored_accuracy = 0;
  double final_accuracy = 0;
  std::vector<double> losses;  // from resume_step on
};

struct Archive {
  std::string name;
  excp::Options options;
  std::vector<excp::StepInfo> steps;
  double add_seconds = 0, get_seconds = 0;
  std::uint64_t original = 0, stored = 0;
  fs::path store, restored;

  double ratio() const {
    return static_cast<double>(original) / static_cast<double>(std::max<std::uint64_t>(1, stored));
  }
  // The last step alone: what every further checkpoint costs.
  double delta_ratio() const {
    return static_cast<double>(steps.back().original_bytes) / static_cast<double>(steps.back().stored_bytes);
  }
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Experiment prepare_experiment(const TourOptions& options) {
  const ImageSet train = read_mnist(options.images, "train"), test = read_mnist(options.images, "t10k");
  if (train.height != test.height || train.width != test.width) {
    throw bad_input(options.images, "training and test images have different sizes");
  }
  const auto [mean, deviation] = pixel_statistics(train);
  Experiment experiment;
  experiment.train = to_tensors(train, mean, deviation);
  experiment.test = to_tensors(test, mean, deviation);
  experiment.height = train.height;
  experiment.width = train.width;
  experiment.settings.seed = options.seed;
  if (options.quick) {
    experiment.settings.total_steps = 120;
    experiment.save_every = 20;
    experiment.settings.batch_size = 64;
  }
  experiment.resume_step = experiment.settings.total_steps / 2;
  experiment.folder = fs::path(options.output) / "excp";
  return experiment;
}

// The uninterrupted run; leaves the checkpoints that a user's run would leave.
std::vector<double> train_from_start(const Experiment& experiment, double& final_accuracy) {
  Learner learner(experiment);
  PlainCheckpointSink sink(experiment.folder / "run");
  Progress progress("training", static_cast<std::uint64_t>(experiment.settings.total_steps));
  std::vector<double> losses;
  train_classifier(learner.model, learner.optimizer, experiment.train, experiment.settings, 0,
                   [&](std::int64_t step, double loss) {
                     losses.push_back(loss);
                     progress.set_note(fmt::format("loss {:.3f}", loss));
                     progress.advance(1);
                     if (step % experiment.save_every != 0) return;
                     save_training_state(sink.begin(step), {*learner.model, learner.optimizer, step});
                     sink.commit(step);
                   });
  final_accuracy = accuracy(learner.model, experiment.test);
  return losses;
}

Archive pack(const Experiment& experiment, std::string name, const excp::Options& options, const std::string& folder) {
  Archive archive{
      std::move(name), options, {}, 0, 0, 0, 0, experiment.folder / folder, experiment.folder / ("restored-" + folder)};
  excp::Store store = excp::Store::open(archive.store, excp::Store::Access::kWrite);
  PlainCheckpointSink run(experiment.folder / "run");
  Progress progress("packing, " + archive.name, run.steps().size());
  for (const std::int64_t step : run.steps()) {
    const Checkpoint checkpoint = Checkpoint::open(run.open(step));
    const auto start = std::chrono::steady_clock::now();
    store.add(checkpoint, step, options);
    archive.add_seconds += seconds_since(start);
    progress.advance(1);
  }
  for (const excp::Store::VerifyReport& report : store.verify()) {
    if (!report.ok)
      throw failed(archive.store.string(), fmt::format("step {} does not verify: {}", report.step, report.problem));
  }
  archive.steps = store.steps();
  for (const excp::StepInfo& step : archive.steps) {
    archive.original += step.original_bytes;
    archive.stored += step.stored_bytes;
  }
  const auto start = std::chrono::steady_clock::now();
  store.get(experiment.resume_step, archive.restored);
  archive.get_seconds = seconds_since(start);
  return archive;
}

Continuation resume(const Experiment& experiment, const std::string& name, const fs::path& checkpoint,
                    bool with_optimizer) {
  Learner learner(experiment);
  TrainingState state{*learner.model, learner.optimizer};
  load_training_state(checkpoint, state, with_optimizer);
  Continuation result{name, accuracy(learner.model, experiment.test), 0, {}};
  Progress progress("resuming, " + name, static_cast<std::uint64_t>(experiment.settings.total_steps - state.step));
  train_classifier(learner.model, learner.optimizer, experiment.train, experiment.settings, state.step,
                   [&](std::int64_t, double loss) {
                     result.losses.push_back(loss);
                     progress.advance(1);
                   });
  result.final_accuracy = accuracy(learner.model, experiment.test);
  return result;
}

std::string percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

// Mean over the last `window` values at every point, so that curves of noisy losses can be compared.
PlotSeries smoothed(const std::string& label, const std::vector<double>& losses, std::int64_t first_step) {
  constexpr std::size_t kWindow = 40;
  PlotSeries series{label, {}, {}, false};
  double sum = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    sum += losses[i];
    if (i >= kWindow) sum -= losses[i - kWindow];
    if (i + 1 < std::min(kWindow, losses.size())) continue;
    series.x.push_back(static_cast<double>(first_step) + static_cast<double>(i + 1));
    series.y.push_back(sum / static_cast<double>(std::min(i + 1, kWindow)));
  }
  return series;
}

std::string size_plot(const std::vector<Archive>& archives) {
  BarPlot plot{"Checkpoint size on disk", "KiB (logarithmic)", true, {}, {}};
  PlotSeries original{"as written", {}, {}, false};
  for (const excp::StepInfo& step : archives.front().steps) {
    plot.categories.push_back(std::to_string(step.step));
    original.y.push_back(static_cast<double>(step.original_bytes) / 1024);
  }
  plot.series.push_back(original);
  for (const Archive& archive : archives) {
    PlotSeries series{archive.name, {}, {}, false};
    for (const excp::StepInfo& step : archive.steps) series.y.push_back(static_cast<double>(step.stored_bytes) / 1024);
    plot.series.push_back(series);
  }
  return to_svg(plot);
}

TourTable archive_table(const std::vector<Archive>& archives) {
  TourTable table{
      {"store", "checkpoints", "as written", "stored", "ratio", "ratio of the last delta", "add MB/s", "get MB/s"}, {}};
  for (const Archive& archive : archives) {
    const double megabytes = static_cast<double>(archive.original) / 1e6;
    table.rows.push_back(
        {archive.name, std::to_string(archive.steps.size()), format_bytes(static_cast<double>(archive.original)),
         format_bytes(static_cast<double>(archive.stored)), fmt::format("{:.1f}x", archive.ratio()),
         fmt::format("{:.1f}x", archive.delta_ratio()), fmt::format("{:.0f}", megabytes / archive.add_seconds),
         fmt::format("{:.0f}", megabytes / static_cast<double>(archive.steps.size()) / archive.get_seconds)});
  }
  return table;
}

TourTable resume_table(const std::vector<Continuation>& runs, double uninterrupted,
                       const std::vector<double>& reference) {
  TourTable table{
      {"training resumed from", "accuracy when restored", "accuracy at the end", "losses equal to the last bit"}, {}};
  table.rows.push_back({"(uninterrupted)", "", percent(uninterrupted), ""});
  for (const Continuation& run : runs) {
    table.rows.push_back({run.name, percent(run.restored_accuracy), percent(run.final_accuracy),
                          run.losses == reference ? "yes" : "no"});
  }
  return table;
}

excp::Options with_lambda(double lambda) {
  excp::Options options;
  options.lambda = lambda;
  return options;
}

excp::Options lossless_options() {
  excp::Options options;
  options.lossless = true;
  return options;
}

nlohmann::ordered_json to_json(const std::vector<Archive>& archives, const std::vector<Continuation>& runs,
                               double uninterrupted, const std::vector<double>& reference) {
  nlohmann::ordered_json json = {{"uninterrupted_accuracy", uninterrupted}};
  for (const Archive& archive : archives) {
    json["stores"].push_back({{"name", archive.name},
                              {"original_bytes", archive.original},
                              {"stored_bytes", archive.stored},
                              {"ratio", archive.ratio()},
                              {"last_delta_ratio", archive.delta_ratio()},
                              {"add_seconds", archive.add_seconds},
                              {"get_seconds", archive.get_seconds}});
  }
  for (const Continuation& run : runs) {
    json["resumed"].push_back({{"from", run.name},
                               {"restored_accuracy", run.restored_accuracy},
                               {"final_accuracy", run.final_accuracy},
                               {"bit_identical", run.losses == reference}});
  }
  return json;
}

}  // namespace

void run_excp_stop(const TourOptions& options, TourReport& report) {
  const Experiment experiment = prepare_experiment(options);
  double uninterrupted = 0;
  const std::vector<double> losses = train_from_start(experiment, uninterrupted);
  const std::vector<double> reference(losses.begin() + experiment.resume_step, losses.end());

  const std::vector<Archive> archives = {pack(experiment, "lossless", lossless_options(), "lossless.store"),
                                         pack(experiment, "lambda 1", with_lambda(1), "lambda-1.store"),
                                         pack(experiment, "lambda 2.5", with_lambda(2.5), "lambda-2.5.store")};

  const fs::path original = experiment.folder / "run" / fmt::format("checkpoint-{}", experiment.resume_step);
  std::vector<Continuation> runs = {resume(experiment, "original checkpoint", original, true),
                                    resume(experiment, "original, optimizer dropped", original, false)};
  for (const Archive& archive : archives)
    runs.push_back(resume(experiment, "store, " + archive.name, archive.restored, true));

  const Archive& main = archives[1];
  const Continuation &exact = runs[0], &dropped = runs[1], &restored = runs[3];
  report.rows.push_back(
      {"ExCP",
       fmt::format("{} checkpoints of a Fashion-MNIST classifier packed, verified, step {} restored, training resumed",
                   main.steps.size(), experiment.resume_step),
       fmt::format(
           "{:.1f}x smaller in all ({:.1f}x per further checkpoint), {} -> {}; accuracy restored {}, after resuming {}",
           main.ratio(), main.delta_ratio(), format_bytes(static_cast<double>(main.original)),
           format_bytes(static_cast<double>(main.stored)), percent(restored.restored_accuracy),
           percent(restored.final_accuracy)),
       fmt::format("exact resume {} ({}), optimizer dropped {}; lossless store {:.1f}x, {}",
                   percent(exact.final_accuracy),
                   exact.losses == reference ? "bit-identical to the uninterrupted run" : "NOT bit-identical",
                   percent(dropped.final_accuracy), archives[0].ratio(),
                   runs[2].losses == reference ? "resumes bit-identically" : "does NOT resume bit-identically"),
       "kinglet ckpt pack run.store my-run/ --lambda 1"});

  TourSection section{"ExCP: checkpoint compression", {}, {}, {}, {}};
  section.paragraphs.push_back(fmt::format(
      "A convolutional classifier was trained for {} steps on Fashion-MNIST (seed {}); every {} steps it left a "
      "checkpoint "
      "as a PyTorch run would: weights, AdamW moments, scheduler. The checkpoints were packed three times, verified "
      "and "
      "restored; training then went on from step {}.",
      experiment.settings.total_steps, experiment.settings.seed, experiment.save_every, experiment.resume_step));
  section.paragraphs.push_back(
      "The first checkpoint of a store is a key frame, kept without loss, so the ratio over a whole run grows with the "
      "number "
      "of checkpoints; the ratio of the last delta is what each further one costs. A lambda of 2.5 is the published "
      "upper "
      "limit and is visibly lossy on so short a run.");
  section.tables = {archive_table(archives), resume_table(runs, uninterrupted, reference)};
  section.plots.push_back(size_plot(archives));
  LinePlot curve{"Training loss after resuming (mean of 40 steps)", "step", "cross-entropy", false, {}};
  for (const Continuation& run : runs) curve.series.push_back(smoothed(run.name, run.losses, experiment.resume_step));
  section.plots.push_back(to_svg(curve, 860, 440));
  report.sections.push_back(section);
  report.numbers["excp"] = to_json(archives, runs, uninterrupted, reference);
}

}  // namespace kinglet::cli
