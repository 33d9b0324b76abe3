// The program under test at work in the background, with stdin and stdout at hand.
#pragma once

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kinglet::testing_support {

class Program {
 public:
  explicit Program(std::vector<std::string> arguments, const std::string& key = {}) {
    arguments.insert(arguments.begin(), KINGLET_PROGRAM);
    int in[2], out[2];
    EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    child_ = fork();
    if (child_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
      if (!key.empty()) setenv("KINGLET_API_KEY", key.c_str(), 1);
      std::vector<char*> argv;
      for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    in_ = in[1];
    out_ = out[0];
  }
  ~Program() {
    if (child_ > 0) end(SIGKILL);
    close(out_);
  }
  pid_t id() const { return child_; }
  std::string line() const {
    std::string text;
    for (char c = 0; read(out_, &c, 1) == 1 && c != '\n';) text += c;
    return text;
  }
  void write(const std::string& text) const {
    EXPECT_EQ(::write(in_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void close_input() {
    if (in_ >= 0) close(std::exchange(in_, -1));
  }
  // The exit code, or 128 + the signal that ended it.
  int end(int signal = 0) {
    if (signal != 0) kill(child_, signal);
    close_input();
    int status = 0;
    waitpid(std::exchange(child_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t child_ = -1;
  int in_ = -1, out_ = -1;
};

// The port that a server says it has, with --json.
inline int port_of(const Program& program) {
  std::string document;  // takes several lines
  for (std::string line = program.line(); !line.empty(); line = program.line()) {
    document += line;
    if (line == "}") break;
  }
  return nlohmann::json::parse(document).at("port");
}

}  // namespace kinglet::testing_support
