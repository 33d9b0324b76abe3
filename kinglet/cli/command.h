// One sub-command of the program: a file a command, each with one function that adds it to the parser.
//
// A command parses, calls the library and prints. Results go to stdout (a table, or JSON with --json); progress and
// warnings go to stderr. Errors leave as kinglet::Error and become one line and an exit code in main.cc.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace kinglet::cli {

// Options that every command shares; filled by the parser before a command runs.
struct Globals {
  bool json = false;  // --json: one JSON document on stdout instead of a table
  int threads = 0;    // --threads: 0 = all cores
  bool verbose = false;
  bool quiet = false;
};

// A command that the parser selected; runs after parsing, returns the exit code.
using Run = std::function<int()>;

// Adds a sub-command under `parent` with help text and a copy-paste example; `run` is called when it is selected.
// Returns the sub-command so that the caller adds its options.
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& description,
                      const std::string& example, Run run);

void add_inspect_command(CLI::App& app, const Globals& globals);   // inspect.cc
void add_ckpt_command(CLI::App& app, const Globals& globals);      // ckpt.cc: add pack watch list info get verify ...
void add_tokenize_command(CLI::App& app, const Globals& globals);  // tokenize.cc
void add_data_command(CLI::App& app, const Globals& globals);      // data.cc: import inspect
void add_distill_command(CLI::App& app, const Globals& globals);   // distill.cc; runs in libkinglet_torch.so
void add_memoryformer_command(CLI::App& app, const Globals& globals);     // memoryformer.cc; in libkinglet_torch.so
void add_mock_server_command(CLI::App& app, const Globals& globals);      // mock_server.cc
void add_reason_command(CLI::App& app, const Globals& globals);           // reason.cc
void add_reason_serve_command(CLI::App& reason, const Globals& globals);  // reason_serve.cc
void add_verify24_command(CLI::App& app, const Globals& globals);         // verify24.cc
void add_refine_command(CLI::App& app, const Globals& globals);           // refine.cc
void add_score_command(CLI::App& app, const Globals& globals);     // score.cc; its scorers run in libkinglet_torch.so
void add_judge_command(CLI::App& app, const Globals& globals);     // judge.cc
void add_train_command(CLI::App& app, const Globals& globals);     // train.cc; runs in libkinglet_torch.so
void add_generate_command(CLI::App& app, const Globals& globals);  // generate.cc; runs in libkinglet_torch.so
void add_chat_command(CLI::App& app, const Globals& globals);      // chat.cc; runs in libkinglet_torch.so
void add_serve_command(CLI::App& app, const Globals& globals);     // serve.cc; runs in libkinglet_torch.so
void add_eval_command(CLI::App& app, const Globals& globals);      // eval.cc: perplexity; runs in libkinglet_torch.so
void add_tour_command(CLI::App& app, const Globals& globals);      // tour.cc; runs in libkinglet_torch.so
void add_completion_command(CLI::App& app);                        // completion.cc: shell completion for bash

void print_json(const nlohmann::json& value);  // pretty, one trailing newline, to stdout

}  // namespace kinglet::cli
