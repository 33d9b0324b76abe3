#include "kinglet/methods/fot/reasoning_run.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/append_file.h"
#include "kinglet/base/error.h"
#include "kinglet/base/file_lock.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/log.h"
#include "kinglet/base/progress.h"
#include "kinglet/base/sha256.h"
#include "kinglet/text/utf8.h"

namespace kinglet::fot {
namespace {

constexpr std::chrono::milliseconds kPollWait{100};
using RecordKey = std::pair<std::string, std::string>;  // arm, question

RecordKey key_of(const Json& record, const std::string& where) {
  if (!record.is_object() || !record.contains("arm") || !record.contains("id") || !record["arm"].is_string() ||
      !record["id"].is_string()) {
    throw bad_input(where, "a record without arm and id", "give another --out");
  }
  return {record["arm"].get<std::string>(), record["id"].get<std::string>()};
}

Json header_of(const RunPlan& plan, std::string_view model, std::string_view expert) {
  Json header = {{"kinglet_reason", 1},
                 {"task", name_of(plan.task)},
                 {"model", model},
                 {"expert", expert},
                 {"settings_key", settings_key(plan, model, expert)},
                 {"arms", Json::object()}};
  for (const Arm& arm : plan.arms) header["arms"][arm.name] = settings_to_json(arm.settings);
  return header;
}

// One question of one arm under way.
struct Job {
  const Arm* arm = nullptr;
  const Question* question = nullptr;
  std::unique_ptr<Forest> forest;
  std::map<std::uint64_t, std::pair<ChatModel*, CallId>> open;
};

class Run {
 public:
  Run(const RunPlan& plan, ChatModel& model, ChatModel* expert, const Grader& grade)
      : plan_(plan), model_(model), expert_(expert == nullptr ? model : *expert), grade_(grade) {
    if (!plan_.out.empty()) open_file();
    for (const Arm& arm : plan_.arms) {
      for (const Question& question : plan_.questions) {
        if (records_.count({arm.name, question.id}) == 0) waiting_.emplace_back(&arm, &question);
      }
    }
    std::reverse(waiting_.begin(), waiting_.end());
  }

  RunReport go() {
    Progress progress("reasoning", waiting_.size());
    while (!waiting_.empty() || !jobs_.empty()) {
      if (interrupted()) cancel_all();
      check_interrupt();
      if (!refusal_.empty()) stop_refused();
      while (!waiting_.empty() && jobs_.size() < static_cast<std::size_t>(plan_.questions_at_once)) start_next();
      for (std::size_t i = 0; i < jobs_.size();) {
        step(*jobs_[i]);
        if (!jobs_[i]->forest->ended() || !jobs_[i]->open.empty()) {
          ++i;
          continue;
        }
        finish(*jobs_[i]);
        jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(i));
        progress.advance(1);
      }
      poll();
    }
    return report();
  }

 private:
  // What was refused is not recorded, so that it is asked again when the run goes on.
  [[noreturn]] void stop_refused() {
    cancel_all();
    throw failed(model_.name(), refusal_, "what had ended is kept; give the same command to go on");
  }

  void open_file() {
    lock_.emplace(plan_.out.string() + ".lock", "run file");
    const Json header = header_of(plan_, model_.name(), expert_.name());
    if (std::filesystem::exists(plan_.out) && std::filesystem::file_size(plan_.out) > 0) {
      RunFile file = read_run_file(plan_.out);
      const bool same = file.header.value("settings_key", "") == header["settings_key"];
      if (!same && !plan_.force) {
        throw bad_input(plan_.out.string(), "holds a run with other settings", "give another --out, or --force");
      }
      std::filesystem::resize_file(plan_.out, file.whole_bytes);
      for (Json& record : file.records) {
        RecordKey key = key_of(record, plan_.out.string());
        records_[std::move(key)] = std::move(record);
      }
      resumed_ = static_cast<int>(records_.size());
      out_.emplace(plan_.out);
      if (file.header.is_null()) write(header);
      return;
    }
    out_.emplace(plan_.out);
    write(header);
  }

  void write(const Json& json) {
    if (out_) out_->append(as_bytes(json.dump() + "\n"));
  }

  void start_next() {
    const auto [arm, question] = waiting_.back();
    waiting_.pop_back();
    auto job = std::make_unique<Job>();
    job->arm = arm;
    job->question = question;
    job->forest = std::make_unique<Forest>(*question, plan_.task, arm->settings, plan_.examples);
    jobs_.push_back(std::move(job));
  }

  void step(Job& job) {
    for (ForestCall& call : job.forest->take_calls()) {
      ChatModel& model = call.for_expert ? expert_ : model_;
      call.request.slot = job.arm->name + "/" + call.request.slot;
      const std::uint64_t number = call.number;
      ChatCallbacks callbacks;
      callbacks.on_reply = [this, &job, number](ChatReply reply) {
        job.open.erase(number);
        if (reply.status == ReplyStatus::kRefused) refusal_ = reply.error;
        job.forest->deliver(number, std::move(reply));
      };
      job.open[number] = {&model, model.submit(std::move(call.request), std::move(callbacks))};
    }
    for (const std::uint64_t number : job.forest->take_cancelled()) {
      const auto found = job.open.find(number);
      if (found != job.open.end()) found->second.first->cancel(found->second.second);
    }
  }

  void finish(const Job& job) {
    const ForestResult& result = job.forest->result();
    Json record = {{"arm", job.arm->name}, {"id", job.question->id}, {"question", job.question->text}};
    if (grade_) record.update(grade_(*job.question, result));
    record.update(result_to_json(result, plan_.detail));
    write(record);
    records_[{job.arm->name, job.question->id}] = std::move(record);
  }

  void poll() {
    if (model_.open_calls() + expert_.open_calls() == 0) return;
    const bool both = &expert_ != &model_ && expert_.open_calls() > 0;
    if (model_.open_calls() > 0) model_.poll(both ? std::chrono::milliseconds(0) : kPollWait);
    if (both) expert_.poll(model_.open_calls() > 0 ? std::chrono::milliseconds(10) : kPollWait);
  }

  void cancel_all() {
    for (const auto& job : jobs_) {
      for (const auto& [number, call] : job->open) call.first->cancel(call.second);
    }
    // Callbacks name the jobs: they must have run before these go.
    while (model_.open_calls() > 0) model_.poll(kPollWait);
    while (expert_.open_calls() > 0) expert_.poll(kPollWait);
  }

  RunReport report() {
    RunReport report;
    report.resumed = resumed_;
    for (const Arm& arm : plan_.arms) {
      for (const Question& question : plan_.questions) report.records.push_back(records_.at({arm.name, question.id}));
    }
    return report;
  }

  const RunPlan& plan_;
  ChatModel& model_;
  ChatModel& expert_;
  const Grader& grade_;
  std::optional<FileLock> lock_;
  std::optional<AppendFile> out_;
  std::map<RecordKey, Json> records_;
  std::vector<std::pair<const Arm*, const Question*>> waiting_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::string refusal_;
  int resumed_ = 0;
};

}  // namespace

std::string settings_key(const RunPlan& plan, std::string_view model, std::string_view expert) {
  Json all = {{"task", name_of(plan.task)}, {"model", model}, {"expert", expert}, {"arms", Json::object()}};
  for (const Arm& arm : plan.arms) all["arms"][arm.name] = settings_to_json(arm.settings);
  all["examples"] = Json::array();
  for (const SolvedExample& example : plan.examples.examples()) {
    all["examples"].push_back({utf8::replace_invalid(example.question), utf8::replace_invalid(example.answer)});
  }
  return sha256_hex(as_bytes(all.dump()));
}

RunReport run_reasoning(const RunPlan& plan, ChatModel& model, ChatModel* expert, const Grader& grade) {
  if (plan.questions.empty()) throw bad_input("questions", "there are none");
  if (plan.questions_at_once < 1) throw bad_input("--questions-at-once", "must be at least 1");
  std::set<std::string> names;
  for (const Arm& arm : plan.arms) {
    check(arm.settings);
    if (!names.insert(arm.name).second) throw bad_input("--arms", fmt::format("'{}' is there twice", arm.name));
  }
  plan.examples.refuse_questions(plan.questions, "--examples");
  Run run(plan, model, expert, grade);
  return run.go();
}

RunFile parse_run_file(std::string_view bytes, const std::string& name) {
  RunFile file;
  std::size_t line = 1;
  for (std::size_t begin = 0; begin < bytes.size(); ++line) {
    const std::size_t end = bytes.find('\n', begin);
    if (end == std::string_view::npos) break;  // a record that was being written when the run was cut off
    Json json = parse_json(bytes.substr(begin, end - begin), fmt::format("{}: line {}", name, line));
    if (line == 1) {
      if (!json.is_object() || !json.contains("kinglet_reason")) {
        throw bad_input(name, "is no run file", "kinglet reason --out writes one");
      }
      file.header = std::move(json);
    } else {
      file.records.push_back(std::move(json));
    }
    begin = end + 1;
    file.whole_bytes = begin;
  }
  return file;
}

RunFile read_run_file(const std::filesystem::path& path) {
  const Bytes bytes = read_file(path);
  return parse_run_file(as_text(bytes), path.string());
}

}  // namespace kinglet::fot
