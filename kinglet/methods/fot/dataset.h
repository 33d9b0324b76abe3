// Files of questions with their right answers. The two part at once: the search gets the questions, grading the
// answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/methods/fot/examples.h"
#include "kinglet/methods/fot/task.h"

namespace kinglet::fot {

struct Dataset {
  std::vector<Question> questions;
  std::map<std::string, std::string> answers;  // by id; questions without an answer have none
};

struct DatasetRange {
  std::size_t start = 0;  // in the order of the file
  std::size_t limit = static_cast<std::size_t>(-1);
};

// By task and by the name's end:
//   game24   a CSV with a column "Puzzles", or a puzzle a line
//   others   JSON lines: {"question" or "problem" or "Problem", "answer" or "Answer" or "solution"}, an id in "id",
//            "unique_id" or "ID" (else the line's number); choice: a list "choices" or "options", an answer that is a
//            letter or an index
// A byte order mark, CRLF and blank lines are passed over. Raises Error (bad input) with the line.
Dataset read_dataset(const std::filesystem::path& path, Task task, const DatasetRange& range = {});
Dataset parse_dataset(std::string_view bytes, const std::string& name, Task task, const DatasetRange& range = {});

// Solved examples: the same JSON lines, with worked answers ("solution" before "answer" where both are there).
ExampleBase read_examples(const std::filesystem::path& path);

// The label of a right answer as the file has it.
std::string gold_label(Task task, const std::string& answer);

// Whether an answer's label is right. Game24 needs no `answer`.
bool is_right(Task task, const Question& question, const std::optional<std::string>& label,
              const std::optional<std::string>& answer);

}  // namespace kinglet::fot
