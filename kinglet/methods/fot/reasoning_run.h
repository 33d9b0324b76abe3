// Many questions, one or several ways to search ("arms"), one model: a run that writes a line of JSON a question and
// can be taken up again after it was cut off.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/llm/chat_model.h"
#include "kinglet/methods/fot/examples.h"
#include "kinglet/methods/fot/forest.h"
#include "kinglet/methods/fot/trace.h"

namespace kinglet::fot {

struct Arm {
  std::string name;
  ForestSettings settings;
};

// What a run adds to a record when a question has ended: whether it is right. The search never sees it.
using Grader = std::function<Json(const Question& question, const ForestResult& result)>;

struct RunPlan {
  Task task = Task::kGeneric;
  std::vector<Question> questions;
  std::vector<Arm> arms;
  ExampleBase examples;
  int questions_at_once = 4;
  TraceDetail detail = TraceDetail::kFull;
  // The run file; empty: no file. It begins with a line that names the settings; a run with others is refused unless
  // `force`. Whole records are kept, an incomplete last line is dropped.
  std::filesystem::path out;
  bool force = false;
};

struct RunReport {
  std::vector<Json> records;  // all of them, in the order of arms and questions
  int resumed = 0;            // that stood in the file
};

// Replies are asked from `model`, those of the expert from `expert` (nullptr: the same). When the model keeps a ledger
// of its calls, calls of a question that was cut off are not paid again: a call's slot depends on the question, the
// arm, the tree and its place in it. Raises Error: (failed) when the endpoint takes no calls, (interrupted) after
// SIGINT; the file then holds what had ended.
RunReport run_reasoning(const RunPlan& plan, ChatModel& model, ChatModel* expert, const Grader& grade);

// Names everything that decides the replies: the task, the arms, the examples, the model's name.
std::string settings_key(const RunPlan& plan, std::string_view model, std::string_view expert);

// The first line and the records of a run file; an incomplete last line is left out. Raises Error (bad input).
struct RunFile {
  Json header;
  std::vector<Json> records;
  std::uint64_t whole_bytes = 0;  // up to the end of the last whole line
};
RunFile read_run_file(const std::filesystem::path& path);
RunFile parse_run_file(std::string_view bytes, const std::string& name);

}  // namespace kinglet::fot
