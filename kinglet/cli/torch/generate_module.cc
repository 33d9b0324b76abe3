// The entry point of `kinglet generate` in libkinglet_torch.so.
#include <cstdio>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/cli/generate_options.h"
#include "kinglet/cli/torch/answer_output.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/models/decoder/language_model.h"
#include "kinglet/models/decoder/text_generation.h"
#include "kinglet/train/torch_threads.h"

namespace kinglet::cli {
namespace {

GenerationOptions generation_options(const GenerateOptions& options, const LanguageModel& model) {
  GenerationOptions result;
  result.max_tokens = options.max_tokens;
  result.choice = {options.temperature,        options.top_k, options.top_p, options.min_p,
                   options.repetition_penalty, options.seed};
  if (!options.ignore_eos) result.eos = model.eos;
  result.log_probabilities = options.log_probabilities;
  return result;
}

struct GivenPrompt {
  std::string text;
  std::vector<TokenId> tokens;
};

// A template writes the special tokens itself.
GivenPrompt prompt_of(const GenerateOptions& options, const Tokenizer& tokenizer) {
  if (!options.chat) return {options.prompt, encode_prompt(tokenizer, options.prompt)};
  Json messages = Json::array();
  if (!options.system.empty()) messages.push_back({{"role", "system"}, {"content", options.system}});
  messages.push_back({{"role", "user"}, {"content", options.prompt}});
  ChatOptions chat;
  chat.add_generation_prompt = true;
  GivenPrompt prompt{load_chat_template(options.model, tokenizer).render(messages, chat), {}};
  prompt.tokens = tokenizer.encode(prompt.text, false);
  return prompt;
}

const char* finish_name(GenerationEnd reason) {
  switch (reason) {
    case GenerationEnd::kLength:
      return "length";
    case GenerationEnd::kEos:
      return "eos";
    case GenerationEnd::kStopped:
      return "stop";
    case GenerationEnd::kInterrupted:
      return "interrupted";
  }
  return "";
}

struct Speeds {
  double prompt = 0.0, tokens = 0.0;  // tokens a second; 0: nothing to measure
};

// The first new token belongs to the prompt: it needs no step of its own.
Speeds speeds_of(const GivenPrompt& prompt, const TextGeneration& result) {
  const auto rate = [](std::size_t count, double seconds) {
    return count > 0 && seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
  };
  const std::size_t steps = result.generation.tokens.empty() ? 0 : result.generation.tokens.size() - 1;
  return {rate(prompt.tokens.size(), result.prompt_seconds), rate(steps, result.token_seconds)};
}

void print_document(const GenerateOptions& options, const GivenPrompt& prompt, const TextGeneration& result) {
  const Speeds speeds = speeds_of(prompt, result);
  nlohmann::json document = {{"text", options.echo ? prompt.text + result.text : result.text},
                             {"tokens", result.generation.tokens},
                             {"prompt_tokens", prompt.tokens},
                             {"finish_reason", finish_name(result.generation.finish)},
                             {"prompt_tokens_per_second", speeds.prompt},
                             {"tokens_per_second", speeds.tokens}};
  if (options.log_probabilities) document["log_probabilities"] = result.generation.log_probabilities;
  print_json(document);
}

void print_log_probabilities(const Tokenizer& tokenizer, const Generation& generation) {
  for (std::size_t i = 0; i < generation.tokens.size(); ++i) {
    const TokenId id = generation.tokens[i];
    const std::string text = id < tokenizer.vocabulary_size() ? printable(tokenizer.token(id)) : std::string();
    fmt::print(stderr, "{:>10.4f}  {:>8}  {}\n", generation.log_probabilities[i], id, text);
  }
}

void print_speeds(const GivenPrompt& prompt, const TextGeneration& result) {
  const Speeds speeds = speeds_of(prompt, result);
  fmt::print(stderr, "prompt {} tokens, {:.1f} tokens/s; new {} tokens, {:.1f} tokens/s; end: {}\n",
             prompt.tokens.size(), speeds.prompt, result.generation.tokens.size(), speeds.tokens,
             finish_name(result.generation.finish));
}

}  // namespace
}  // namespace kinglet::cli

extern "C" __attribute__((visibility("default"))) int kinglet_run_generate(const kinglet::cli::GenerateOptions& options,
                                                                           const kinglet::cli::Globals& globals) {
  using namespace kinglet;
  using namespace kinglet::cli;
  set_torch_threads();
  register_memoryformer();
  check_token_choice(generation_options(options, {}).choice);  // before the weights are read
  const LanguageModel model = load_language_model(options.model, weight_type_of(options.dtype));
  const GivenPrompt prompt = prompt_of(options, *model.tokenizer);
  std::function<void(std::string_view)> on_text;
  if (!globals.json) {
    if (options.echo) write_text(prompt.text);
    on_text = write_text;
  }
  const TextGeneration result = generate_text(*model.decoder, *model.tokenizer, prompt.tokens,
                                              generation_options(options, model), options.stop, on_text);
  if (globals.json) {
    print_document(options, prompt, result);
  } else {
    write_text("\n");
    if (options.log_probabilities) print_log_probabilities(*model.tokenizer, result.generation);
    if (!globals.quiet) print_speeds(prompt, result);
  }
  return result.generation.finish == GenerationEnd::kInterrupted ? kInterruptedCode : 0;
}
