// kinglet chat: a conversation in the terminal. The model runs in libkinglet_torch.so.
#include <memory>

#include "kinglet/cli/chat_options.h"
#include "kinglet/cli/command.h"
#include "kinglet/cli/torch_module.h"

namespace kinglet::cli {

void add_chat_command(CLI::App& app, const Globals& globals) {
  auto options = std::make_shared<ConversationOptions>();
  options->settings.choice.temperature = 0.8;
  options->settings.choice.top_p = 0.95;
  CLI::App* command = add_command(
      app, "chat", "Talk with a language model in the terminal (/help says how)",
      "kinglet chat --model gemma-3-270m-q4_k_m.gguf --system 'Answer in one sentence.'", [options, &globals] {
        return reinterpret_cast<ChatEntry*>(find_torch_entry(kChatEntryName))(*options, globals);
      });
  command->add_option("--model", options->model.model, "Model folder, training run, or GGUF file")
      ->required()
      ->type_name("PATH");
  command->add_option("--system", options->system, "What stands before the conversation")->type_name("TEXT");
  command->add_option("--chat-template", options->model.chat_template, "A Jinja file in place of the model's own")
      ->type_name("FILE");
  command->add_option("--dtype", options->model.dtype, "Type of the weights in memory")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
      ->capture_default_str();
  command->add_option("--max-tokens", options->settings.max_tokens, "Most new tokens of an answer; 0 = what fits")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30))
      ->capture_default_str();
  TokenChoice& choice = options->settings.choice;
  command->add_option("--temperature", choice.temperature, "Flatter above 1, sharper below; 0 = the most likely token")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--top-p", choice.top_p, "Only the most likely tokens that reach this probability together")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", choice.seed, "Of the random choice; the same seed gives the same answers")
      ->capture_default_str();
}

}  // namespace kinglet::cli
