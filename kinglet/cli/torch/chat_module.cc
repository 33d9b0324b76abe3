// The entry point of `kinglet chat` in libkinglet_torch.so: lines from stdin, answers to stdout.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/cli/chat_options.h"
#include "kinglet/cli/torch/answer_output.h"
#include "kinglet/cli/torch/served_model.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/train/torch_threads.h"

namespace kinglet::cli {
namespace {

constexpr std::size_t kLongestLine = 1 << 24;
constexpr const char* kHelp =
    "/reset          forget the conversation\n"
    "/system TEXT    another system prompt, and a new conversation; without TEXT: none\n"
    "/exit           the end (or Ctrl-D)\n"
    "Ctrl-C stops an answer.\n";

volatile std::sig_atomic_t g_break = 0;  // Ctrl-C since it was last looked at

// Ctrl-C means the answer here, not the program: this handler stands in front of the program's own.
void catch_breaks() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_break = 1; };
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);  // without SA_RESTART: reading a line ends, too
}

class LineReader {
 public:
  // Nothing at the end of the input, and after a signal.
  std::optional<std::string> next() {
    for (;;) {
      const std::size_t end = held_.find('\n');
      if (end != std::string::npos) {
        std::string line = held_.substr(0, end);
        held_.erase(0, end + 1);
        if (line.ends_with('\r')) line.pop_back();
        return line;
      }
      if (held_.size() > kLongestLine) throw bad_input("stdin", "a line is longer than 16 MiB", "shorten it");
      char bytes[4096];
      const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof(bytes));
      if (got > 0) {
        held_.append(bytes, static_cast<std::size_t>(got));
        continue;
      }
      if (got < 0 && errno == EINTR && g_break == 0 && !interrupted()) continue;
      if (got < 0 || held_.empty()) return std::nullopt;
      return std::exchange(held_, {});  // the last line has no break behind it
    }
  }

 private:
  std::string held_;
};

void print_speed(const SequenceResult& result) {
  const double steps = static_cast<double>(result.new_tokens - 1);
  fmt::print(stderr, "[{} tokens, {:.1f} tokens/s, first after {:.2f} s, {} of {} prompt tokens cached]\n",
             result.new_tokens, steps > 0 && result.token_seconds > 0 ? steps / result.token_seconds : 0.0,
             result.wait_seconds + result.prompt_seconds, result.cached_tokens, result.prompt_tokens);
}

class Conversation {
 public:
  Conversation(ChatSession& session, bool tell_speed) : session_(session), tell_speed_(tell_speed) {}

  // False: the end.
  bool take(const std::string& line) {
    if (line.find_first_not_of(" \t") == std::string::npos) return true;
    if (!line.starts_with('/')) {
      answer(line);
    } else if (line == "/exit" || line == "/quit") {
      return false;
    } else if (line == "/reset") {
      session_.reset();
    } else if (line == "/system" || line.starts_with("/system ")) {
      session_.set_system(line.size() > 8 ? line.substr(8) : std::string());
    } else {
      fmt::print(stderr, "{}", kHelp);
    }
    return true;
  }

 private:
  void answer(const std::string& line) {
    g_break = 0;
    try {
      const ChatAnswer answer = session_.say(line, write_text, [] { return g_break != 0 || interrupted(); });
      write_text("\n");
      if (tell_speed_) print_speed(answer.result);
    } catch (const Error& error) {
      if (!interactive_) throw;
      fmt::print(stderr, "{}\n", error.what());
    }
    g_break = 0;
  }

  ChatSession& session_;
  bool tell_speed_;
  bool interactive_ = isatty(STDIN_FILENO) != 0;
};

}  // namespace
}  // namespace kinglet::cli

extern "C" __attribute__((visibility("default"))) int kinglet_run_chat(const kinglet::cli::ConversationOptions& options,
                                                                       const kinglet::cli::Globals& globals) {
  using namespace kinglet;
  using namespace kinglet::cli;
  set_torch_threads();
  register_memoryformer();
  const LoadedModel loaded = load_served_model(options.model, "", 1);
  ChatSession session(*loaded.engine, loaded.model, options.settings);
  session.set_system(options.system);
  const bool interactive = isatty(STDIN_FILENO) != 0;
  if (interactive && !globals.quiet) {
    fmt::print(stderr, "{}: write something; /help says what else is possible\n", printable(loaded.model.name));
  }
  catch_breaks();
  Conversation conversation(session, isatty(STDERR_FILENO) != 0 && !globals.quiet);
  LineReader lines;
  for (;;) {
    if (interactive) fmt::print(stderr, "> ");
    const auto line = lines.next();
    if (!line) break;
    if (!conversation.take(*line)) return 0;
    if (interrupted()) break;
  }
  if (interactive) fmt::print(stderr, "\n");
  return g_break != 0 || interrupted() ? kInterruptedCode : 0;
}
