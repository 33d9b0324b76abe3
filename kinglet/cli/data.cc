// kinglet data: training data, made and looked at.
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/progress.h"
#include "kinglet/cli/command.h"
#include "kinglet/methods/fot/game24_data.h"
#include "kinglet/text/data_import.h"
#include "kinglet/text/data_summary.h"

namespace kinglet::cli {
namespace {

using nlohmann::json;

std::string size_text(std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

int run_import(const ImportOptions& options, const Globals& globals) {
  const ImportReport report = import_data(options);
  if (globals.json) {
    json result = {{"files", json::array()}, {"left_out", report.left_out}};
    for (const ImportedFile& file : report.files) {
      result["files"].push_back({{"path", file.path.string()}, {"documents", file.documents}, {"bytes", file.bytes}});
    }
    print_json(result);
    return 0;
  }
  for (const ImportedFile& file : report.files) {
    std::cout << fmt::format("{}: {} documents, {}\n", file.path.string(), file.documents, size_text(file.bytes));
  }
  if (report.left_out > 0) std::cout << fmt::format("{} records without text of use were left out\n", report.left_out);
  return 0;
}

void add_import(CLI::App& data, const Globals& globals) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* command =
      add_command(data, "import", "Make JSON lines of a dictionary, of text files or of other JSON lines",
                  "kinglet data import --from gcide --out words/ --validation 0.02",
                  [options, &globals] { return run_import(*options, globals); });
  const std::map<std::string, ImportSource> sources = {{"gcide", ImportSource::kGcide},
                                                       {"wordnet", ImportSource::kWordNet},
                                                       {"text", ImportSource::kText},
                                                       {"jsonl", ImportSource::kJsonl}};
  const std::map<std::string, ImportForm> forms = {{"text", ImportForm::kText},
                                                   {"instructions", ImportForm::kInstructions}};
  const std::map<std::string, TextUnit> units = {
      {"file", TextUnit::kFile}, {"paragraph", TextUnit::kParagraph}, {"line", TextUnit::kLine}};
  command->add_option("--from", options->from, "gcide (Debian's dict-gcide), wordnet (dict-wn), text or jsonl")
      ->required()
      ->transform(CLI::CheckedTransformer(sources))
      ->type_name("SOURCE");
  command->add_option("--out", options->out, "FILE.jsonl, or a folder for train.jsonl and validation.jsonl")
      ->required()
      ->type_name("FILE|FOLDER");
  command->add_option("--input", options->input, "What to read; for dictionaries the path without .index")
      ->type_name("FILE|FOLDER");
  command->add_option("--as", options->as, "text (the default), or instructions: questions about words")
      ->transform(CLI::CheckedTransformer(forms))
      ->type_name("FORM");
  command->add_option("--validation", options->validation, "This part of the documents is kept for validation (0)")
      ->check(CLI::Range(0.0, 0.99))
      ->type_name("PART");
  command->add_option("--unit", options->text_unit, "What a document of a text file is: file, paragraph or line")
      ->transform(CLI::CheckedTransformer(units))
      ->type_name("UNIT");
}

struct InspectArguments {
  std::string path, format = "auto";
  std::size_t examples = 3;
};

json summary_json(const DataSummary& summary) {
  json result = {{"kind", summary.kind},         {"bytes", summary.bytes},           {"documents", summary.documents},
                 {"messages", summary.messages}, {"characters", summary.characters}, {"examples", summary.examples}};
  if (summary.tokens) result["tokens"] = *summary.tokens;
  if (summary.trained_tokens) result["trained_tokens"] = *summary.trained_tokens;
  if (!summary.notes.empty()) result["notes"] = summary.notes;
  return result;
}

void print_summary(const DataSummary& summary) {
  std::cout << fmt::format("{}, {}\n{} documents", summary.kind, size_text(summary.bytes), summary.documents);
  if (summary.messages > 0) std::cout << fmt::format(", {} messages", summary.messages);
  if (summary.characters > 0) std::cout << fmt::format(", {} characters", summary.characters);
  if (summary.tokens) std::cout << fmt::format(", {} tokens", *summary.tokens);
  if (summary.trained_tokens) std::cout << fmt::format(", {} of them trained", *summary.trained_tokens);
  std::cout << "\n";
  for (const std::string& note : summary.notes) std::cout << note << "\n";
  for (const std::string& example : summary.examples) std::cout << "\n" << example << "\n";
}

int run_inspect(const InspectArguments& arguments, const Globals& globals) {
  SummaryOptions options;
  const auto format = format_of_name(arguments.format);
  if (!format) throw bad_input("--format", "is not known", "auto, text, jsonl, alpaca, sharegpt or messages");
  options.reading.format = *format;
  options.examples = arguments.examples;
  const DataSummary summary = summarize_data(arguments.path, options);
  if (globals.json)
    print_json(summary_json(summary));
  else
    print_summary(summary);
  return 0;
}

void add_inspect(CLI::App& data, const Globals& globals) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command = add_command(
      data, "inspect", "Show the format, size and examples of training data; checks every record",
      "kinglet data inspect words/train.jsonl", [arguments, &globals] { return run_inspect(*arguments, globals); });
  command->add_option("path", arguments->path, "Text, JSON lines or a token corpus")->required()->type_name("FILE");
  command->add_option("--format", arguments->format, "auto, text, jsonl, alpaca, sharegpt or messages")
      ->type_name("FORMAT");
  command->add_option("--examples", arguments->examples, "Show so many documents (3)")
      ->check(CLI::Range(0, 100))
      ->type_name("N");
}

int run_game24(const std::string& out, const fot::Game24DataOptions& options, const Globals& globals) {
  const fot::Game24DataReport report = fot::write_game24_data(out, options);
  if (globals.json) {
    print_json({{"records", report.train_records},
                {"train_puzzles", report.train_puzzles},
                {"test_puzzles", report.test_puzzles}});
    return 0;
  }
  std::cout << fmt::format("{}: {} records of {} puzzles; {} other puzzles in test.txt\n", out, report.train_records,
                           report.train_puzzles, report.test_puzzles);
  return 0;
}

void add_game24(CLI::App& data, const Globals& globals) {
  auto options = std::make_shared<fot::Game24DataOptions>();
  auto out = std::make_shared<std::string>();
  CLI::App* command = add_command(
      data, "game24", "Make training data of the Game of 24: steps and what can become of them",
      "kinglet data game24 --out game24/", [options, out, &globals] { return run_game24(*out, *options, globals); });
  command->add_option("--out", *out, "Folder for train.jsonl, validation.jsonl, test.txt and tokenizer")
      ->required()
      ->type_name("FOLDER");
  command->add_option("--test", options->test_share, "This part of the puzzles is for tests only (0.1)")
      ->type_name("PART");
  command->add_option("--orders", options->orders, "Orders of each puzzle (24)")->type_name("N");
  command->add_option("--steps", options->steps, "Steps a record from four numbers (6)")->type_name("N");
  command->add_option("--verdicts", options->verdicts, "Records of the worth of a state that can reach 24 (12)")
      ->type_name("N");
  command->add_option("--corrupted", options->corrupted_left, "Part of the lines with a wrong list (0)")
      ->type_name("PART");
  command->add_option("--seed", options->seed, "Of the split and of what is drawn (0)")->type_name("N");
}

}  // namespace

void add_data_command(CLI::App& app, const Globals& globals) {
  CLI::App* data = add_command(app, "data", "Training data: import dictionaries and text, look at files",
                               "kinglet data import --from gcide --out words/ --validation 0.02", nullptr);
  data->require_subcommand(1);
  add_import(*data, globals);
  add_inspect(*data, globals);
  add_game24(*data, globals);
}

}  // namespace kinglet::cli
