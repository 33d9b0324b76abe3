#include "kinglet/methods/star_agents/refine_run.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "kinglet/base/files.h"
#include "kinglet/methods/star_agents/provenance.h"
#include "kinglet/methods/star_agents/report.h"

namespace kinglet::star_agents {
namespace {

namespace fs = std::filesystem;

// Answers of a model may hold anything that JSON can: what is no UTF-8 is replaced.
std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

void write_text(const fs::path& path, const std::string& text) { write_file_atomically(path, as_bytes(text)); }

void write_rejected(const fs::path& path, const std::vector<RejectedSeed>& rejected) {
  if (rejected.empty()) return;
  std::string lines;
  for (const RejectedSeed& one : rejected) lines += line_of({{"line", one.line}, {"reason", one.reason}});
  write_text(path, lines);
}

std::string history_csv(const RunStatistics& statistics) {
  std::string csv = "seeds";
  for (const PairStatistics& pair : statistics.pairs) {
    std::string name = pair.name;
    std::replace(name.begin(), name.end(), ',', ' ');
    csv += "," + name;
  }
  csv += "\n";
  for (const WavePoint& point : statistics.history) {
    csv += fmt::format("{}", point.seeds);
    for (const double p : point.probabilities) csv += fmt::format(",{}", p);
    csv += "\n";
  }
  return csv;
}

}  // namespace

RunStatistics run_in_folder(const FolderRun& run, RunModels models) {
  const Settings& settings = run.recipe.settings;
  fs::create_directories(run.folder);
  remove_stale_temporary_files(run.folder);
  write_rejected(run.folder / "rejected.jsonl", run.seeds.rejected);
  std::optional<ScoreCache> scores;
  if (settings.fit != Fit::kNone) scores.emplace(run.folder / "scores.jsonl");
  std::vector<std::string> instructions;
  for (const Seed& seed : run.seeds.seeds) instructions.push_back(seed.instruction());
  HashedTfIdf embedder(instructions, run.recipe.embedding_dimension);
  models.scores = scores ? &*scores : nullptr;
  if (models.embedder == nullptr) models.embedder = &embedder;

  const DocumentFormat format =
      run.recipe.output_format == DocumentFormat::kDetect ? run.seeds.format : run.recipe.output_format;
  RunStatistics statistics(settings);
  std::vector<std::string> kept(run.seeds.seeds.size());
  AtomicFile candidates(run.folder / "candidates.jsonl");
  RunObserver observer;
  observer.on_seed = [&](const SeedOutcome& outcome) {
    const Seed& seed = run.seeds.seeds[outcome.seed];
    statistics.add(seed, outcome);
    kept[outcome.seed] = line_of(kept_record(settings, seed, outcome, run.seeds.format, format, run.recipe.provenance));
    for (std::size_t i = 0; i < outcome.candidates.size(); ++i) {
      candidates.append(as_bytes(line_of(candidate_record(settings, seed, outcome, i))));
    }
  };
  observer.on_wave = [&](const WaveState& state) { statistics.add(state); };
  observer.on_progress = run.on_progress;
  refine(run.seeds.seeds, settings, models, observer);

  candidates.commit();
  AtomicFile refined(run.folder / "refined.jsonl");
  for (const std::string& line : kept) refined.append(as_bytes(line));
  refined.commit();
  write_text(run.folder / "p_history.csv", history_csv(statistics));
  write_text(run.folder / "summary.json", statistics.to_json().dump(2) + "\n");
  write_text(
      run.folder / "report.html",
      report_html(statistics, run.title, run.facts ? run.facts() : std::vector<std::pair<std::string, std::string>>()));
  return statistics;
}

std::map<std::pair<std::string, std::string>, ExpectedCalls> expected_calls(const RefineRecipe& recipe,
                                                                            const std::vector<Seed>& seeds) {
  constexpr std::int64_t kVerdictTokens = 150;
  const auto at_most = [](std::int64_t expected, const Sampling& sampling) {
    return std::min(expected, sampling.max_tokens.value_or(expected));
  };
  const Settings& settings = recipe.settings;
  std::map<std::pair<std::string, std::string>, ExpectedCalls> result;
  std::int64_t answer_tokens = static_cast<std::int64_t>(recipe.expected_answer_tokens), bytes = 0;
  for (const Seed& seed : seeds) bytes += static_cast<std::int64_t>(seed.response.size());
  if (answer_tokens == 0) answer_tokens = guessed_tokens(static_cast<std::size_t>(bytes) / seeds.size());
  std::int64_t prompt_tokens = 0, question_tokens = 0;  // of all seeds
  for (const Seed& seed : seeds) {
    for (const ChatMessage& message : seed.context) prompt_tokens += guessed_tokens(message.content.size()) + 4;
    question_tokens += guessed_tokens(seed.instruction().size());
  }
  const auto count = static_cast<std::int64_t>(seeds.size());
  const double share = static_cast<double>(settings.draw.samples) / static_cast<double>(settings.pairs.size());
  const auto add = [&](const std::string& model, const std::string& role, double times, std::int64_t prompt,
                       std::int64_t completion) {
    ExpectedCalls& one = result[{model, role}];
    one.calls += static_cast<std::int64_t>(std::ceil(times * static_cast<double>(count)));
    one.prompt_tokens += static_cast<std::int64_t>(times * static_cast<double>(prompt));
    one.completion_tokens += static_cast<std::int64_t>(times * static_cast<double>(completion * count));
  };
  std::map<std::size_t, std::size_t> pairs_of_rewriter;
  for (const AgentPair& pair : settings.pairs) {
    const ResponseAgent& agent = settings.response_agents[pair.response];
    add(agent.model, "answer", share, prompt_tokens, at_most(answer_tokens, agent.sampling));
    if (settings.instruction_agents[pair.instruction].rewrites()) ++pairs_of_rewriter[pair.instruction];
  }
  if (settings.base_agent) {
    const ResponseAgent& agent = settings.response_agents[*settings.base_agent];
    add(agent.model, "answer", 1, prompt_tokens, at_most(answer_tokens, agent.sampling));
  }
  for (const auto& [agent, pairs] : pairs_of_rewriter) {  // once a seed, however many of its pairs are drawn
    add(settings.instruction_agents[agent].model, "rewrite", std::min(1.0, share * static_cast<double>(pairs)),
        prompt_tokens + 120 * count, question_tokens / count + 20);
  }
  if (settings.judge) {
    const JudgePrompt empty = judge_prompt({"", ""}, {"", ""});
    const std::int64_t frame = guessed_tokens(empty.system.size() + empty.user.size());
    const double times = static_cast<double>(settings.draw.samples) * (settings.judge->both_orders ? 2 : 1);
    add(settings.judge->model, "judge", times, question_tokens + (frame + 2 * answer_tokens) * count,
        at_most(kVerdictTokens, settings.judge->sampling));
  }
  return result;
}

}  // namespace kinglet::star_agents
