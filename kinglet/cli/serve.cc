// kinglet serve: a server that clients of the OpenAI API speak to. The model runs in libkinglet_torch.so.
#include <memory>

#include "kinglet/cli/command.h"
#include "kinglet/cli/serve_options.h"
#include "kinglet/cli/server_options.h"
#include "kinglet/cli/torch_module.h"

namespace kinglet::cli {
namespace {

struct ServeArguments {
  ServeOptions options;
  ServerArguments server;
  std::int64_t max_queue = 120;
};

int run_serve(const ServeArguments& arguments, const Globals& globals) {
  ServeOptions options = arguments.options;
  options.server = server_settings(arguments.server);
  options.server.api.max_sequences = options.parallel + arguments.max_queue;
  warn_about_openness(options.server);
  return reinterpret_cast<ServeEntry*>(find_torch_entry(kServeEntryName))(options, globals);
}

}  // namespace

void add_serve_command(CLI::App& app, const Globals& globals) {
  auto arguments = std::make_shared<ServeArguments>();
  ServeOptions& options = arguments->options;
  CLI::App* command =
      add_command(app, "serve", "Serve a language model: the OpenAI API and a page to chat with it",
                  "kinglet serve --model gemma-3-270m-q4_k_m.gguf --port 8080   # then open http://127.0.0.1:8080",
                  [arguments, &globals] { return run_serve(*arguments, globals); });
  command->add_option("--model", options.model.model, "Model folder, training run, or GGUF file")
      ->required()
      ->type_name("PATH");
  command->add_option("--name", options.name, "The model's name for clients; otherwise that of its folder or file")
      ->type_name("NAME");
  command->add_option("--chat-template", options.model.chat_template, "A Jinja file in place of the model's own")
      ->type_name("FILE");
  command->add_option("--dtype", options.model.dtype, "Type of the weights in memory")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
      ->capture_default_str();
  command->add_option("--context", options.model.context, "Most tokens of a prompt and its answer; 0 = the model's")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30))
      ->capture_default_str();
  command->add_option("--parallel", options.parallel, "Sequences that are computed together")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}))
      ->capture_default_str();
  command->add_option("--max-queue", arguments->max_queue, "Sequences that may wait; more requests get a 429")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{100000}))
      ->capture_default_str();
  add_server_options(*command, arguments->server);
  add_reasoning_options(*command, arguments->server.server.api.reasoning);
}

}  // namespace kinglet::cli
