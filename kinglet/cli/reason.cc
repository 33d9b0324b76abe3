// kinglet reason: one question or a file of them, answered by a forest of reasoning trees.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/log.h"
#include "kinglet/base/table.h"
#include "kinglet/cli/command.h"
#include "kinglet/cli/reason_built_in.h"
#include "kinglet/cli/reason_options.h"
#include "kinglet/methods/fot/dataset.h"
#include "kinglet/methods/fot/run_report.h"
#include "kinglet/methods/fot/run_summary.h"

namespace kinglet::cli {
namespace {

using nlohmann::json;

fot::StepRules step_rules_of(const std::string& name) {
  if (name == "none") return fot::StepRules::kNone;
  if (name == "left") return fot::StepRules::kLeftOnly;
  if (name == "exact") return fot::StepRules::kExact;
  throw bad_input("--step-rules", fmt::format("'{}' is not known", name), "none, left or exact");
}

fot::ForestSettings settings_of(const ReasonOptions& options) {
  fot::ForestSettings settings = options.settings;
  const bool game24 = options.task == "game24";
  settings.base = fot::base_of_name(!options.base.empty() ? options.base : game24 ? "tot-bfs" : "cot");
  settings.stop = fot::parse_stop_policy(options.stop);
  settings.decision = fot::decision_of_name(options.decision);
  settings.step_rules = step_rules_of(options.step_rules);
  settings.correction = !options.no_correction;
  settings.examples = !options.no_examples;
  settings.shuffle = !options.no_shuffle;
  if (options.top_p > 0) settings.top_p = options.top_p;
  return settings;
}

fot::Dataset data_of(const ReasonOptions& options, fot::Task task) {
  if (!options.data.empty()) {
    return fot::read_dataset(options.data, task, {.start = options.start, .limit = options.limit});
  }
  if (options.question.empty()) throw bad_input("question", "there is none", "give one, or a file of them with --data");
  fot::Dataset data;
  data.questions.push_back({"question", options.question});
  return data;
}

fot::RunPlan plan_of(const ReasonOptions& options, fot::Task task, const fot::Dataset& data) {
  fot::RunPlan plan;
  plan.task = task;
  plan.questions = data.questions;
  const fot::ForestSettings settings = settings_of(options);
  if (options.arms.empty()) {
    plan.arms.push_back({fmt::format("fot-{}:{}", fot::name_of(settings.base), settings.trees), settings});
  }
  for (const std::string& arm : options.arms) plan.arms.push_back({arm, fot::arm_settings(arm, settings)});
  for (fot::Arm& arm : plan.arms) {
    if (asks_built_in_model(options)) fit_to_built_in_model(arm.settings);
  }
  if (!options.examples.empty()) plan.examples = fot::read_examples(options.examples);
  plan.questions_at_once = options.questions_at_once;
  plan.detail = options.brief && options.report.empty() ? fot::TraceDetail::kBrief : fot::TraceDetail::kFull;
  plan.out = options.out;
  plan.force = options.force;
  return plan;
}

// Right answers meet results here, after the search.
fot::Grader grader_of(const fot::Dataset& data, fot::Task task) {
  return [&data, task](const fot::Question& question, const fot::ForestResult& result) {
    Json grade = Json::object();
    const auto gold = data.answers.find(question.id);
    const bool known = gold != data.answers.end();
    if (!known && task != fot::Task::kGame24) return grade;
    const auto answer = known ? std::optional(gold->second) : std::nullopt;
    grade["correct"] = fot::is_right(task, question, result.label, answer);
    bool covered = false;
    for (const fot::TreeResult& tree : result.trees) covered |= fot::is_right(task, question, tree.label, answer);
    grade["covered"] = covered || grade["correct"].get<bool>();
    if (known) grade["gold"] = fot::gold_label(task, *answer);
    return grade;
  };
}

std::string percent(double share) { return fmt::format("{:.1f}%", 100 * share); }

void print_summary(const std::vector<Json>& records) {
  using Align = Table::Align;
  Table table({{"arm"},
               {"questions", Align::kRight},
               {"accuracy", Align::kRight},
               {"95 %", Align::kRight},
               {"coverage", Align::kRight},
               {"trees", Align::kRight},
               {"calls", Align::kRight},
               {"tokens", Align::kRight}});
  for (const fot::ArmSummary& arm : fot::summarize(records)) {
    const auto [low, high] = fot::wilson_interval(arm.right, arm.graded);
    const bool graded = arm.graded > 0;
    table.add_row({printable(arm.arm), fmt::format("{}", arm.questions), graded ? percent(arm.accuracy()) : "unknown",
                   graded ? fmt::format("{:.1f}-{:.1f}", 100 * low, 100 * high) : "",
                   graded ? percent(static_cast<double>(arm.covered) / arm.graded) : "",
                   fmt::format("{:.2f}", arm.trees), fmt::format("{:.2f}", arm.calls),
                   fmt::format("{:.0f}", arm.completion_tokens)});
  }
  std::cout << table.to_text();
  for (const fot::ArmComparison& pair : fot::compare_arms(records)) {
    std::cout << fmt::format(
        "{} / {}: {} questions right in the first only, {} in the second only, McNemar p = {:.3f}\n",
        printable(pair.first), printable(pair.second), pair.first_only, pair.second_only, pair.p);
  }
}

json summary_json(const std::vector<Json>& records) {
  json arms = json::array();
  for (const fot::ArmSummary& arm : fot::summarize(records)) {
    const auto [low, high] = fot::wilson_interval(arm.right, arm.graded);
    json one = {{"arm", arm.arm},
                {"questions", arm.questions},
                {"answered", arm.answered},
                {"trees", arm.trees},
                {"active_trees", arm.active_trees},
                {"calls", arm.calls},
                {"prompt_tokens", arm.prompt_tokens},
                {"completion_tokens", arm.completion_tokens},
                {"late_tokens", arm.late_tokens},
                {"corrections", arm.corrections},
                {"experts", arm.experts}};
    if (arm.graded > 0) {
      one["accuracy"] = arm.accuracy();
      one["interval"] = {low, high};
      one["coverage"] = static_cast<double>(arm.covered) / arm.graded;
    }
    arms.push_back(one);
  }
  return {{"arms", arms}};
}

void print_answer(const Json& record) {
  const std::string answer = record.value("answer", "");
  std::cout << (answer.empty() ? "no answer" : answer) << "\n\n"
            << fmt::format("{}; decided by {}; {} of {} trees; {} calls, {} completion tokens\n",
                           record["label"].is_string() ? record["label"].get<std::string>() : "no label",
                           record["decided_by"].get<std::string>(), record["trees"].size(),
                           record["planned_trees"].get<int>(), record["cost"]["calls"].get<int>(),
                           record["cost"]["completion_tokens"].get<std::int64_t>());
}

void write_report(const std::string& path, const Json& header, const std::vector<Json>& records) {
  if (path.empty()) return;
  write_file_atomically(path, as_bytes(fot::html_report(header, records)));
  std::cout << fmt::format("report: {}\n", path);
}

// Looks at a run that was made before.
int read_run(const ReasonOptions& options, const Globals& globals) {
  const fot::RunFile file = fot::read_run_file(options.read);
  if (globals.json)
    print_json(summary_json(file.records));
  else
    print_summary(file.records);
  if (!options.report.empty())
    write_file_atomically(options.report, as_bytes(fot::html_report(file.header, file.records)));
  return 0;
}

// What a user should know about the endpoint.
void warn_about(const fot::RunPlan& plan, const std::vector<Json>& records) {
  bool wanted = false, offered = false;
  std::size_t forests = 0, alike = 0;
  for (const fot::Arm& arm : plan.arms) wanted |= arm.settings.correction && plan.task != fot::Task::kGame24;
  for (const Json& record : records) {
    std::set<std::string> texts;
    for (const Json& tree : record["trees"]) {
      offered |= tree.contains("confidence");
      texts.insert(tree.value("text", ""));
    }
    if (record["trees"].size() < 2 || plan.task == fot::Task::kGame24 || texts.count("") != 0) continue;
    ++forests;
    alike += texts.size() == 1 ? 1 : 0;
  }
  if (wanted && !offered && !records.empty()) {
    log_warning("the model gives no log-probabilities: answers are corrected by rules only");
  }
  if (forests >= 5 && alike * 5 > forests * 4) {
    log_warning("the trees of {} of {} questions wrote the same text: does the server heed temperature and seed?",
                alike, forests);
  }
}

int run_reason(const ReasonOptions& options, const Globals& globals) {
  if (!options.read.empty()) return read_run(options, globals);
  const fot::Task task = fot::task_of_name(options.task);
  const fot::Dataset data = data_of(options, task);
  const fot::RunPlan plan = plan_of(options, task, data);
  fot::SimulatedModel simulated;
  if (options.model.simulate) {
    for (const fot::Question& question : data.questions) {
      const auto gold = data.answers.find(question.id);
      if (gold == data.answers.end()) continue;
      simulated.teach(task, question.text, fot::gold_label(task, gold->second));
    }
  }
  ReasonModels models(options, simulated, options.out.empty() ? "" : options.out + ".calls");
  const fot::Grader grade = grader_of(data, task);
  const fot::RunReport report = fot::run_reasoning(plan, models.solver(), models.expert(), grade);
  warn_about(plan, report.records);
  if (globals.json) {
    json result =
        plan.questions.size() == 1 && plan.arms.size() == 1 ? json(report.records[0]) : summary_json(report.records);
    result["resumed"] = report.resumed;
    print_json(result);
  } else if (options.data.empty() && plan.arms.size() == 1) {
    print_answer(report.records[0]);
  } else {
    if (report.resumed > 0) std::cout << fmt::format("{} records were there before\n", report.resumed);
    print_summary(report.records);
  }
  if (!globals.json && !models.spent().empty()) std::cout << models.spent() << '\n';
  const Json header = {{"task", options.task},
                       {"model", models.solver().name()},
                       {"expert", models.expert() != nullptr ? models.expert()->name() : models.solver().name()}};
  if (globals.json && !options.report.empty())
    write_file_atomically(options.report, as_bytes(fot::html_report(header, report.records)));
  else
    write_report(options.report, header, report.records);
  const bool answered = options.data.empty() ? !report.records[0]["label"].is_null() : true;
  return answered ? 0 : 1;
}

void add_model_options(CLI::App& command, ReasonOptions& options) {
  command.add_option("--base-url", options.model.base_url, "OpenAI-compatible endpoint (http://127.0.0.1:8080/v1)")
      ->type_name("URL");
  command
      .add_option("--model", options.model.model,
                  "The model's name there; without --base-url: a model of this machine, a folder or GGUF file "
                  "(game24: a small one is built in)")
      ->type_name("NAME|PATH");
  command.add_option("--chat-template", options.model.chat_template, "A Jinja file in place of that model's own")
      ->type_name("FILE");
  command.add_option("--dtype", options.model.dtype, "Type of the weights of a model of this machine")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
      ->capture_default_str();
  command.add_option("--key-from", options.model.key_variable, "Environment variable that holds the key")
      ->type_name("NAME");
  command.add_option("--expert-url", options.expert.base_url, "Another endpoint for the expert")->type_name("URL");
  command.add_option("--expert-model", options.expert.model, "Another model for the expert")->type_name("NAME");
  command.add_option("--expert-key-from", options.expert.key_variable, "Environment variable with the expert's key")
      ->type_name("NAME");
  command.add_option("--max-in-flight", options.model.max_in_flight, "Calls at once (16)")
      ->check(CLI::Range(1, 10000))
      ->type_name("N");
  command.add_flag("--max-completion-tokens", options.model.max_completion_tokens,
                   "Send this name in place of max_tokens");
  command.add_flag("--simulate", options.model.simulate, "Dice in place of a model: to try the search out");
}

void add_search_options(CLI::App& command, ReasonOptions& options) {
  fot::ForestSettings& settings = options.settings;
  command.add_option("--trees", settings.trees, "Trees of the forest (4)")->type_name("N");
  command.add_option("--base", options.base, "io, cot, tot-bfs, tot-dfs or mctsr (game24: tot-bfs, others: cot)")
      ->type_name("METHOD");
  command.add_option("--arms", options.arms, "Compare several: cot,sc:9,fot-cot:4,fot-mctsr:4")
      ->delimiter(',')
      ->type_name("ARMS");
  command.add_option("--stop", options.stop, "lead (lossless), strict, none or beta:0.95")->type_name("RULE");
  command.add_option("--decision", options.decision, "cged (vote, expert at a tie), majority, score, random, expert")
      ->type_name("RULE");
  command.add_option("--width", settings.width, "Trees at once; 0: those that surely are needed (0)")->type_name("N");
  command.add_option("--proposals", settings.proposals, "Replies with steps from each state, game24 (1)")
      ->type_name("N");
  command.add_option("--rollouts", settings.rollouts, "Refinements a tree of mctsr (1)")->type_name("N");
  command.add_option("--kept", settings.kept, "Thoughts a layer that go on (5)")->type_name("N");
  command.add_option("--branch", settings.branch, "Next steps a thought, tot over text (3)")->type_name("N");
  command.add_option("--depth", settings.depth, "Longest chain of steps, tot over text (8)")->type_name("N");
  command.add_option("--tau", settings.tau, "Answers below this confidence are asked for again (0.5)")->type_name("T");
  command.add_option("--step-rules", options.step_rules, "Checks of game24's steps: exact, left or none")
      ->type_name("RULES");
  command.add_flag("--allow-fractions", settings.allow_fractions, "Steps of game24 may leave fractions");
  command.add_flag("--compact-prompts", settings.compact_prompts,
                   "For a model that was trained on the steps (kinglet data game24)");
  command.add_flag("--drop-impossible", settings.drop_impossible, "Never keep what is judged impossible");
  command.add_flag("--no-correction", options.no_correction, "Answers stay as they are");
  command.add_flag("--no-examples", options.no_examples, "All trees get the plain question");
  command.add_flag("--no-shuffle", options.no_shuffle, "All trees of game24 get the same order");
  command.add_flag("--same-example", settings.same_example, "Every tree gets the nearest example");
  command.add_flag("--expert-may-answer", settings.expert_may_answer, "The expert's own answer counts");
  command.add_flag("--fallback", settings.fallback, "One plain call where no tree comes to an answer");
  command.add_option("--temperature", settings.temperature, "Of every call (0.95)")->type_name("T");
  command.add_option("--top-p", options.top_p, "Of every call")->check(CLI::Range(0.0, 1.0))->type_name("P");
  command.add_option("--max-tokens", settings.max_tokens, "Longest reply (1024)")->type_name("N");
  command
      .add_option("--expert-max-tokens", settings.expert_max_tokens,
                  "Longest reply of the expert at a tie (4096); few for models that do not end a reply themselves")
      ->type_name("N");
  command
      .add_option("--stop-text", settings.stop_texts,
                  "A text that ends a reply, for models that do not end it themselves; may be given again")
      ->allow_extra_args(false)
      ->type_name("TEXT");
  command.add_option("--budget-tokens", settings.most_tokens, "Completion tokens a question; 0: no limit")
      ->type_name("N");
  command.add_option("--budget-calls", settings.most_calls, "Calls a question; 0: no limit")->type_name("N");
  command.add_option("--seed", settings.seed, "Of everything drawn at random (0)")->type_name("N");
}

void add_data_options(CLI::App& command, ReasonOptions& options) {
  command.add_option("question", options.question, "The question; for game24 four numbers")->type_name("TEXT");
  command.add_option("--task", options.task, "game24, gsm8k, math, choice or generic")->type_name("TASK");
  command.add_option("--data", options.data, "Questions: JSON lines, or for game24 CSV or a puzzle a line")
      ->type_name("FILE");
  command.add_option("--start", options.start, "First question of the file, from 0")->type_name("N");
  command.add_option("--limit", options.limit, "So many questions")->type_name("N");
  command.add_option("--examples", options.examples, "Solved questions, as JSON lines; not those that are asked")
      ->type_name("FILE");
  command.add_option("--out", options.out, "Records as JSON lines; the same command goes on where it was cut off")
      ->type_name("FILE");
  command.add_option("--report", options.report, "The trees as a page to look at")->type_name("FILE.html");
  command.add_option("--read", options.read, "Look at the --out of an earlier run and ask nothing")->type_name("FILE");
  command.add_option("--questions-at-once", options.questions_at_once, "So many (4)")
      ->check(CLI::Range(1, 10000))
      ->type_name("N");
  command.add_flag("--brief", options.brief, "Records without the thoughts of the trees");
  command.add_flag("--force", options.force, "Go on in a file of other settings");
}

}  // namespace

void add_reason_command(CLI::App& app, const Globals& globals) {
  auto options = std::make_shared<ReasonOptions>();
  CLI::App* command = add_command(app, "reason", "Answer questions with a forest of reasoning trees",
                                  "kinglet reason '4 9 10 13' --task game24 --simulate --report forest.html",
                                  [options, &globals] { return run_reason(*options, globals); });
  add_data_options(*command, *options);
  add_search_options(*command, *options);
  add_model_options(*command, *options);
  add_reason_serve_command(*command, globals);
}

}  // namespace kinglet::cli
