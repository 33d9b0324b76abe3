// What a forest makes of the small model of the Game of 24 that is built in: one sample and many, one tree and sixteen,
// parts switched off. Runs `kinglet reason` beside it in the build folder, as a user would.
//
// usage: fot_game24 --data FILE|all [--seeds N] [--limit N] [--model DIR [--bits B]] [--out FOLDER] [--only-forest]
//        fot_game24 --pack MODEL OUT [BITS]
//
// FILE: puzzles, a line each; all: the 1362 with a solution, most of which the model was trained on. --bits: the
// model's weights are coded first. --out keeps the run files, so that a run that was cut off goes on. The second form
// makes the two files that the program holds.
//
// The trees of a forest begin one after the other and the first solution ends it, and neither depends on how many are
// planned: so one run with sixteen tells what each smaller number comes to, to the call.
#include "kinglet/methods/fot/game24.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/support/scratch_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/plot.h"
#include "kinglet/base/table.h"
#include "kinglet/methods/excp/packed_folder.h"
#include "kinglet/methods/fot/reasoning_run.h"
#include "kinglet/methods/fot/run_summary.h"

namespace kinglet::fot {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  fs::path data, out, model;
  int seeds = 3, limit = 0, bits = 0;
  bool only_forest = false;
};

// One way to search, run once a seed; a search of many trees (or samples) also tells what fewer come to.
struct Search24 {
  std::string name, title, options;
  std::vector<std::size_t> trees;  // the numbers that are reported
};

std::vector<Search24> searches(bool only_forest) {
  const std::vector<std::size_t> doubling = {1, 2, 4, 8, 16};
  std::vector<Search24> all = {{"forest", "forest", "--arms fot-tot-bfs:16", doubling}};
  if (only_forest) return all;
  all.push_back({"samples", "samples, each verified", "--arms sc:32", {1, 2, 4, 8, 16, 32}});
  all.push_back({"same-order", "forest, no shuffle", "--arms fot-tot-bfs:16 --no-shuffle", doubling});
  all.push_back({"believed", "forest, no correction", "--arms fot-tot-bfs:16 --step-rules none", doubling});
  all.push_back(
      {"bigger", "one tree, 4 times the proposals, 20 kept", "--arms fot-tot-bfs:1 --proposals 4 --kept 20", {1}});
  return all;
}

fs::path build_folder() { return fs::read_symlink("/proc/self/exe").parent_path().parent_path(); }

std::vector<Json> run(const Arguments& arguments, const Search24& search, int seed) {
  const fs::path out = arguments.out / fmt::format("{}-{}.jsonl", search.name, seed);
  std::string command = fmt::format(
      "'{}' --json reason --task game24 --data '{}' --seed {} --brief --max-in-flight 32 "
      "--questions-at-once 32 --out '{}' {}",
      (build_folder() / "kinglet").string(), arguments.data.string(), seed, out.string(), search.options);
  if (arguments.limit > 0) command += fmt::format(" --limit {}", arguments.limit);
  if (!arguments.model.empty()) command += fmt::format(" --model '{}' --compact-prompts", arguments.model.string());
  if (std::system((command + " > /dev/null").c_str()) != 0) throw failed(command, "it ended with an error");
  return read_run_file(out).records;
}

struct Outcome {
  double solved = 0, claimed = 0, calls = 0, tokens = 0;  // shares of the questions; means of a question
};

// What the first `trees` of each record come to.
Outcome outcome_of(const std::vector<Json>& records, std::size_t trees) {
  Outcome outcome;
  for (const Json& record : records) {
    bool ended = false;
    for (std::size_t i = 0; i < std::min(trees, record["trees"].size()) && !ended; ++i) {
      const Json& tree = record["trees"][i];
      outcome.calls += tree["cost"]["calls"].get<double>();
      outcome.tokens += tree["cost"]["completion_tokens"].get<double>();
      ended = tree["active"].get<bool>();
      outcome.claimed += ended;
      outcome.solved += ended && tree.value("verified", false);
    }
  }
  const auto questions = static_cast<double>(records.size());
  return {outcome.solved / questions, outcome.claimed / questions, outcome.calls / questions,
          outcome.tokens / questions};
}

struct Spread {
  double mean = 0, deviation = 0;
  std::string text(int digits) const { return fmt::format("{:.{}f} ± {:.{}f}", mean, digits, deviation, digits); }
};

Spread spread_of(const std::vector<Outcome>& outcomes, double Outcome::*value, double scale = 1) {
  Spread spread;
  const auto count = static_cast<double>(outcomes.size());
  for (const Outcome& outcome : outcomes) spread.mean += scale * outcome.*value / count;
  for (const Outcome& outcome : outcomes) spread.deviation += std::pow(scale * outcome.*value - spread.mean, 2);
  spread.deviation = outcomes.size() > 1 ? std::sqrt(spread.deviation / (count - 1)) : 0;
  return spread;
}

void measure(const Arguments& arguments) {
  Table table({{"search"},
               {"trees or samples, at most"},
               {"solved, %"},
               {"95 %"},
               {"claimed, %"},
               {"calls"},
               {"completion tokens"}});
  LinePlot plot{"Game of 24: solved by completion tokens", "completion tokens a puzzle", "solved, %", false, {}};
  std::size_t questions = 0;
  for (const Search24& search : searches(arguments.only_forest)) {
    std::vector<std::vector<Json>> runs;
    for (int seed = 1; seed <= arguments.seeds; ++seed) runs.push_back(run(arguments, search, seed));
    questions = runs[0].size();
    PlotSeries series{search.title, {}, {}, true};
    for (const std::size_t trees : search.trees) {
      std::vector<Outcome> outcomes;
      for (const auto& records : runs) outcomes.push_back(outcome_of(records, trees));
      const Spread solved = spread_of(outcomes, &Outcome::solved, 100), tokens = spread_of(outcomes, &Outcome::tokens);
      const auto right = std::lround(solved.mean / 100 * static_cast<double>(questions));
      // That of one seed: the seeds share the puzzles.
      const auto [low, high] = wilson_interval(static_cast<int>(right), static_cast<int>(questions));
      table.add_row({search.title, fmt::format("{}", trees), solved.text(1),
                     fmt::format("{:.1f}-{:.1f}", 100 * low, 100 * high),
                     spread_of(outcomes, &Outcome::claimed, 100).text(1), spread_of(outcomes, &Outcome::calls).text(1),
                     tokens.text(0)});
      series.x.push_back(tokens.mean);
      series.y.push_back(solved.mean);
    }
    plot.series.push_back(std::move(series));
  }
  fmt::print("\n{} puzzles of {}, {} seeds\n\n{}", questions, arguments.data.filename().string(), arguments.seeds,
             table.to_markdown());
  write_file_atomically(arguments.out / "curve.svg", as_bytes(to_svg(plot)));
  fmt::print("\ncurve: {}\n", (arguments.out / "curve.svg").string());
}

std::uint64_t pack(const fs::path& model, const fs::path& out, int bits) {
  excp::Options options;
  options.lambda = 0;  // nothing is pruned
  options.weight_bits = bits;
  options.exact_1d = true;
  return excp::pack_folder(model, out, options);
}

// The model as it comes out of the two files.
fs::path coded(const fs::path& model, int bits, const fs::path& scratch) {
  const std::uint64_t bytes = pack(model, scratch / "packed", bits);
  const Bytes key = read_file(scratch / "packed" / excp::kPackedKey);
  const Bytes weights = read_file(scratch / "packed" / excp::kPackedWeights);
  const std::array<ByteView, 2> parts = {ByteView(key), ByteView(weights)};
  excp::unpack_folder(parts, model.string(), scratch / "unpacked");
  fmt::print("{} bits: {} bytes\n", bits, bytes);
  return scratch / "unpacked";
}

// A file of all puzzles that have a solution.
fs::path write_all_puzzles(const fs::path& folder) {
  std::string text;
  for (const Puzzle& puzzle : solvable_puzzles(Intermediates::kAny)) text += to_text(puzzle) + "\n";
  write_file_atomically(folder / "all.txt", as_bytes(text));
  return folder / "all.txt";
}

Arguments read_arguments(int count, char** values) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string name = values[i];
    if (name == "--only-forest") {
      arguments.only_forest = true;
      continue;
    }
    if (i + 1 == count) throw bad_input(name, "a value is missing");
    const char* const value = values[++i];
    if (name == "--data")
      arguments.data = value;
    else if (name == "--out")
      arguments.out = value;
    else if (name == "--model")
      arguments.model = value;
    else if (name == "--seeds")
      arguments.seeds = std::max(1, std::atoi(value));
    else if (name == "--limit")
      arguments.limit = std::atoi(value);
    else if (name == "--bits")
      arguments.bits = std::atoi(value);
    else
      throw bad_input(name, "is no option");
  }
  if (arguments.data.empty()) throw bad_input("--data", "is missing", "a file of puzzles, see kinglet data game24");
  return arguments;
}

int run_bench(int count, char** values) {
  if (count >= 4 && std::strcmp(values[1], "--pack") == 0) {
    fmt::print("{} bytes\n", pack(values[2], values[3], count > 4 ? std::atoi(values[4]) : 8));
    return 0;
  }
  Arguments arguments = read_arguments(count, values);
  const bench::ScratchFolder scratch;
  if (arguments.out.empty()) arguments.out = scratch.path() / "runs";
  fs::create_directories(arguments.out);
  if (arguments.data == "all") arguments.data = write_all_puzzles(arguments.out);
  if (arguments.bits > 0) arguments.model = coded(arguments.model, arguments.bits, scratch.path());
  measure(arguments);
  return 0;
}

}  // namespace
}  // namespace kinglet::fot

int main(int count, char** values) {
  try {
    return kinglet::fot::run_bench(count, values);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
