#include "kinglet/methods/fot/dataset.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/methods/fot/game24.h"
#include "kinglet/text/json_text.h"
#include "kinglet/text/utf8.h"

namespace kinglet::fot {
namespace {

struct Line {
  std::string_view text;
  std::size_t number = 0;
};

std::vector<Line> numbered_lines(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  std::vector<Line> lines;
  for (std::size_t number = 1; !bytes.empty(); ++number) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    std::string_view line = bytes.substr(0, end);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty()) lines.push_back({line, number});
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  return lines;
}

// The cells of a CSV line (RFC 4180, without line breaks inside of quotes).
std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"')
        cells.back() += line[++i];
      else
        quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += line[i];
    }
  }
  return cells;
}

std::string place(const std::string& name, std::size_t line) { return fmt::format("{}: line {}", name, line); }

Dataset read_puzzles(const std::vector<Line>& lines, const std::string& name) {
  Dataset data;
  std::size_t first = 0, column = 0;
  const bool csv = name.ends_with(".csv");
  if (csv) {
    if (lines.empty()) throw bad_input(name, "is empty");
    const auto titles = cells_of(lines[0].text);
    const auto found = std::find(titles.begin(), titles.end(), "Puzzles");
    if (found == titles.end()) throw bad_input(place(name, lines[0].number), "there is no column 'Puzzles'");
    column = static_cast<std::size_t>(found - titles.begin());
    first = 1;
  }
  for (std::size_t i = first; i < lines.size(); ++i) {
    const std::string where = place(name, lines[i].number);
    std::string text(lines[i].text);
    if (csv) {
      auto cells = cells_of(lines[i].text);
      if (column >= cells.size()) throw bad_input(where, "has too few columns");
      text = cells[column];
    }
    data.questions.push_back({fmt::format("{}", i - first + 1), to_text(parse_puzzle(text, where))});
  }
  return data;
}

std::optional<std::string> text_field(const Json& record, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = record.find(name);
    if (found == record.end() || found->is_null()) continue;
    if (found->is_string()) return found->get<std::string>();
    if (found->is_number()) return found->dump();
  }
  return std::nullopt;
}

// "question\nA) first\nB) second" and the letter of the answer.
void add_choices(const Json& record, const std::string& where, std::string& question,
                 std::optional<std::string>& answer) {
  const auto found = record.contains("choices") ? record.find("choices") : record.find("options");
  if (found == record.end() || !found->is_array()) return;
  if (found->empty() || found->size() > 10) throw bad_input(where, "a question has 1 to 10 choices");
  char letter = 'A';
  for (const Json& choice : *found) {
    if (!choice.is_string()) throw bad_input(where, "a choice is no text");
    const std::string text = choice.get<std::string>();
    const bool lettered = text.size() > 1 && text[0] == letter && (text[1] == ')' || text[1] == '.');
    question += lettered ? fmt::format("\n{}", text) : fmt::format("\n{}) {}", letter, text);
    ++letter;
  }
  const bool index = answer && answer->size() == 1 && (*answer)[0] >= '0' && (*answer)[0] <= '9';
  if (index) answer = std::string(1, static_cast<char>('A' + ((*answer)[0] - '0')));
}

Json record_of(const Line& line, const std::string& where) {
  Json record = parse_json(line.text, where);
  if (!record.is_object()) throw bad_input(where, "is no JSON object");
  return record;
}

Dataset read_records(const std::vector<Line>& lines, const std::string& name, Task task) {
  Dataset data;
  std::set<std::string> ids;
  for (const Line& line : lines) {
    const std::string where = place(name, line.number);
    const Json record = record_of(line, where);
    auto question = text_field(record, {"question", "problem", "Problem", "input"});
    auto answer = text_field(record, {"answer", "Answer", "output", "solution"});
    if (!question || question->find_first_not_of(" \t\r\n") == std::string::npos) {
      throw bad_input(where, "has no question", "one of the fields question, problem, Problem, input holds it");
    }
    if (task == Task::kChoice) add_choices(record, where, *question, answer);
    std::string id = text_field(record, {"id", "unique_id", "ID"}).value_or(fmt::format("{}", line.number));
    if (!ids.insert(id).second) throw bad_input(where, fmt::format("the id '{}' was there before", id));
    if (answer) data.answers[id] = *answer;
    data.questions.push_back({std::move(id), std::move(*question)});
  }
  return data;
}

}  // namespace

Dataset parse_dataset(std::string_view bytes, const std::string& name, Task task, const DatasetRange& range) {
  if (!utf8::is_valid(bytes)) throw bad_input(name, "is not UTF-8");
  const std::vector<Line> lines = numbered_lines(bytes);
  const bool records = !lines.empty() && lines[0].text.starts_with("{");
  Dataset data = task == Task::kGame24 && !records ? read_puzzles(lines, name) : read_records(lines, name, task);
  if (data.questions.empty()) throw bad_input(name, "holds no question");
  if (range.start >= data.questions.size()) {
    throw bad_input("--start", fmt::format("{} holds only {} questions", name, data.questions.size()));
  }
  const std::size_t end = range.start + std::min(range.limit, data.questions.size() - range.start);
  data.questions.erase(data.questions.begin() + static_cast<std::ptrdiff_t>(end), data.questions.end());
  data.questions.erase(data.questions.begin(), data.questions.begin() + static_cast<std::ptrdiff_t>(range.start));
  return data;
}

Dataset read_dataset(const std::filesystem::path& path, Task task, const DatasetRange& range) {
  const Bytes bytes = read_file(path);
  return parse_dataset(as_text(bytes), path.string(), task, range);
}

ExampleBase read_examples(const std::filesystem::path& path) {
  const Bytes bytes = read_file(path, std::uint64_t{1} << 28);
  if (!utf8::is_valid(as_text(bytes))) throw bad_input(path.string(), "is not UTF-8");
  std::vector<SolvedExample> examples;
  for (const Line& line : numbered_lines(as_text(bytes))) {
    const std::string where = place(path.string(), line.number);
    const Json record = record_of(line, where);
    auto question = text_field(record, {"question", "problem", "Problem", "q"});
    auto answer = text_field(record, {"solution", "Solution", "answer", "Answer", "a"});
    if (!question || !answer) throw bad_input(where, "needs a question and an answer");
    examples.push_back({std::move(*question), std::move(*answer)});
  }
  if (examples.empty()) throw bad_input(path.string(), "holds no example");
  return ExampleBase(std::move(examples));
}

std::string gold_label(Task task, const std::string& answer) {
  return label_of(task, task == Task::kMath ? fmt::format("\\boxed{{{}}}", answer) : answer).value_or(answer);
}

bool is_right(Task task, const Question& question, const std::optional<std::string>& label,
              const std::optional<std::string>& answer) {
  if (!label) return false;
  if (task == Task::kGame24) return verify24(parse_puzzle(question.text, question.id), *label).correct;
  if (!answer) return false;
  return *label == gold_label(task, *answer);
}

}  // namespace kinglet::fot
