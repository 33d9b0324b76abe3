#include "kinglet/cli/eval.h"

#include <memory>

#include "kinglet/cli/command.h"
#include "kinglet/cli/eval_options.h"
#include "kinglet/cli/torch_module.h"

namespace kinglet::cli {
namespace {

void add_perplexity_command(CLI::App& eval, const Globals& globals) {
  auto options = std::make_shared<PerplexityOptions>();
  CLI::App* command = add_command(
      eval, "perplexity", "How well a language model predicts a text",
      "kinglet eval perplexity --model my-run/model --file held-out.txt --window 512 --stride 256",
      [options, &globals] {
        return reinterpret_cast<PerplexityEntry*>(find_torch_entry(kPerplexityEntryName))(*options, globals);
      });
  command->add_option("--model", options->model, "Model folder, training run, or GGUF file")
      ->required()
      ->type_name("PATH");
  command->add_option("--file", options->file, "The text")->required()->type_name("FILE");
  command->add_option("--window", options->window, "Tokens that the model sees at once, BOS among them")
      ->capture_default_str();
  command->add_option("--stride", options->stride, "Tokens between the starts of windows; each token counts once")
      ->capture_default_str();
  command->add_option("--tokens", options->most_tokens, "Only the first N tokens of the text; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--dtype", options->dtype, "Type of the weights in memory")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
      ->capture_default_str();
}

}  // namespace

void add_eval_command(CLI::App& app, const Globals& globals) {
  CLI::App* eval = add_command(app, "eval", "Measure what models can do",
                               "kinglet eval perplexity --model my-run/model --file held-out.txt", nullptr);
  eval->require_subcommand(1);
  add_perplexity_command(*eval, globals);
  add_answers_command(*eval, globals);
}

}  // namespace kinglet::cli
