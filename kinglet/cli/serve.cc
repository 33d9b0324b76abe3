// kinglet serve: a server that clients of the OpenAI API speak to. The model runs in libkinglet_torch.so.
#include <chrono>
#include <cstdlib>
#include <memory>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/cli/command.h"
#include "kinglet/cli/serve_options.h"
#include "kinglet/cli/torch_module.h"

namespace kinglet::cli {
namespace {

constexpr const char* kKeyVariable = "KINGLET_API_KEY";
constexpr std::uint64_t kLongestKey = 8192;

struct Arguments {
  ServeOptions options;
  std::string key_file;
  std::int64_t max_queue = 120;
  std::int64_t max_body = 8 << 20;
  double grace_seconds = 10;
};

std::string without_blanks(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  return begin == std::string::npos ? std::string() : text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// From the file, else from the environment: never from the command line, which every user of the machine can read.
std::string api_key_of(const Arguments& arguments) {
  std::string where = kKeyVariable, key;
  if (!arguments.key_file.empty()) {
    where = arguments.key_file;
    key = std::string(as_text(read_file(arguments.key_file, kLongestKey)));
  } else if (const char* value = std::getenv(kKeyVariable)) {
    key = value;
  } else {
    return {};
  }
  key = without_blanks(key);
  if (key.empty()) throw bad_input(where, "the API key is empty", "write one, or give none");
  for (const char c : key) {
    if (c <= ' ' || c > '~') throw bad_input(where, "the API key holds characters that a header cannot carry");
  }
  return key;
}

int run(const Arguments& arguments, const Globals& globals) {
  ServeOptions options = arguments.options;
  options.server.api.api_key = api_key_of(arguments);
  options.server.api.max_sequences = options.parallel + arguments.max_queue;
  options.server.http.limits.body = static_cast<std::size_t>(arguments.max_body);
  options.server.grace = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.grace_seconds * 1000));
  return reinterpret_cast<ServeEntry*>(find_torch_entry(kServeEntryName))(options, globals);
}

void add_limits(CLI::App& command, Arguments& arguments) {
  ServeOptions& options = arguments.options;
  command.add_option("--parallel", options.parallel, "Sequences that are computed together")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}))
      ->capture_default_str();
  command.add_option("--max-queue", arguments.max_queue, "Sequences that may wait; more requests get a 429")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{100000}))
      ->capture_default_str();
  command.add_option("--max-tokens", options.server.api.max_tokens, "Most new tokens of an answer; 0 = what fits")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30))
      ->capture_default_str();
  command.add_option("--max-body", arguments.max_body, "Most bytes of a request; more get a 413")
      ->check(CLI::Range(std::int64_t{1024}, std::int64_t{1} << 30))
      ->type_name("BYTES")
      ->capture_default_str();
  command.add_option("--max-connections", options.server.http.connections, "Clients at once; more get a 503")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--grace", arguments.grace_seconds, "Seconds for answers under way when the server ends")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
}

}  // namespace

void add_serve_command(CLI::App& app, const Globals& globals) {
  auto arguments = std::make_shared<Arguments>();
  ServeOptions& options = arguments->options;
  CLI::App* command =
      add_command(app, "serve", "Serve a language model: the OpenAI API and a page to chat with it",
                  "kinglet serve --model gemma-3-270m-q4_k_m.gguf --port 8080   # then open http://127.0.0.1:8080",
                  [arguments, &globals] { return run(*arguments, globals); });
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
  command->add_option("--host", options.server.http.host, "The address to listen on; 0.0.0.0 = every one")
      ->check(CLI::ValidIPV4)
      ->type_name("IPV4")
      ->capture_default_str();
  command->add_option("--port", options.server.http.port, "Where to listen; 0 = any free port")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command
      ->add_option("--api-key-file", arguments->key_file,
                   std::string("A file with the key that clients must know; otherwise ") + kKeyVariable +
                       " in the environment, otherwise none is needed")
      ->type_name("FILE");
  command
      ->add_option("--allow-origin", options.server.api.allowed_origin,
                   "Where pages of other servers may come from, for example https://chat.example.org; * = anywhere")
      ->type_name("ORIGIN");
  add_limits(*command, *arguments);
}

}  // namespace kinglet::cli
