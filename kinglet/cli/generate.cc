#include <iostream>
#include <iterator>
#include <memory>

#include <unistd.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/cli/command.h"
#include "kinglet/cli/generate_options.h"
#include "kinglet/cli/torch_module.h"

namespace kinglet::cli {
namespace {

struct GenerateArguments {
  GenerateOptions options;
  std::string prompt_file;
  CLI::Option* prompt = nullptr;
};

constexpr std::uint64_t kLongestPrompt = std::uint64_t{1} << 26;

// Editors and `echo` end a text with a line break that is no part of it.
std::string without_last_break(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

std::string prompt_of(const GenerateArguments& arguments) {
  if (arguments.prompt->count() > 0) return arguments.options.prompt;
  if (!arguments.prompt_file.empty() && arguments.prompt_file != "-") {
    return without_last_break(std::string(as_text(read_file(arguments.prompt_file, kLongestPrompt))));
  }
  if (arguments.prompt_file.empty() && isatty(STDIN_FILENO) != 0) {
    throw bad_input("", "there is no prompt", "give --prompt TEXT or --prompt-file FILE, or write it to stdin");
  }
  std::string text;
  char piece[4096];
  while (std::cin.read(piece, sizeof(piece)) || std::cin.gcount() > 0) {
    text.append(piece, static_cast<std::size_t>(std::cin.gcount()));
    if (text.size() > kLongestPrompt) throw bad_input("stdin", "the prompt is longer than 64 MiB", "shorten it");
  }
  return without_last_break(std::move(text));
}

void add_sampling_options(CLI::App& command, GenerateOptions& options) {
  command.add_option("--temperature", options.temperature, "Flatter above 1, sharper below; 0 = the most likely token")
      ->capture_default_str();
  command.add_option("--top-p", options.top_p, "Only the most likely tokens that reach this probability together")
      ->capture_default_str();
  command.add_option("--top-k", options.top_k, "Only the K most likely tokens; 0 = all")->capture_default_str();
  command.add_option("--min-p", options.min_p, "Only tokens of this share of the highest probability; 0 = all")
      ->capture_default_str();
  command
      .add_option("--repetition-penalty", options.repetition_penalty,
                  "Above 1: tokens that were there become less likely")
      ->capture_default_str();
  command.add_option("--seed", options.seed, "Of the random choice; the same seed gives the same text")
      ->capture_default_str();
}

}  // namespace

void add_generate_command(CLI::App& app, const Globals& globals) {
  auto arguments = std::make_shared<GenerateArguments>();
  GenerateOptions& options = arguments->options;
  CLI::App* command = add_command(
      app, "generate", "Continue a text with a language model, or answer as its chat template says",
      "kinglet generate --model gemma-3-270m-q4_k_m.gguf --prompt 'A lighthouse is' --max-tokens 40",
      [arguments, &globals] {
        arguments->options.prompt = prompt_of(*arguments);
        return reinterpret_cast<GenerateEntry*>(find_torch_entry(kGenerateEntryName))(arguments->options, globals);
      });
  command->add_option("--model", options.model, "Model folder, training run, or GGUF file")
      ->required()
      ->type_name("PATH");
  arguments->prompt = command->add_option("--prompt", options.prompt, "The text; without it, it is read from stdin");
  command->add_option("--prompt-file", arguments->prompt_file, "A file with the text; - = stdin")
      ->type_name("FILE")
      ->excludes(arguments->prompt);
  command->add_option("--max-tokens", options.max_tokens, "Most new tokens")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30))
      ->capture_default_str();
  add_sampling_options(*command, options);
  command->add_option("--stop", options.stop, "A text that ends the answer; may be given again")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  CLI::Option* chat = command->add_flag("--chat", options.chat, "The prompt is what a user says in a conversation");
  command->add_option("--system", options.system, "What stands before the conversation")
      ->type_name("TEXT")
      ->needs(chat);
  command->add_flag("--echo", options.echo, "Print the prompt too");
  command->add_flag("--ignore-eos", options.ignore_eos, "Go on behind tokens that end a text");
  command->add_flag("--logprobs", options.log_probabilities, "Also the log-probability of every new token");
  command->add_option("--dtype", options.dtype, "Type of the weights in memory")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
      ->capture_default_str();
}

}  // namespace kinglet::cli
