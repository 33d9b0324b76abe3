// Children of the training tests: the test program starts itself again, so that a run can be killed as a whole.
#pragma once

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/process.h"

namespace kinglet::testing_support {

// Runs one test of this program in a new process with these environment variables; its output is dropped.
inline pid_t start_child(const std::string& test, const std::map<std::string, std::string>& environment) {
  const pid_t child = fork();
  if (child != 0) return child;
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  const std::string filter = "--gtest_filter=" + test;
  if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(127);
  execl("/proc/self/exe", "test_train", filter.c_str(), nullptr);
  _exit(127);
}

inline int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

inline std::size_t lines_in(const std::filesystem::path& file) {
  const std::string text = slurp(file);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// Sends the signal to `child` once `log` has grown by `lines`; false when the child ended before.
inline bool signal_after(pid_t child, const std::filesystem::path& log, std::size_t lines, int signal) {
  const std::size_t wanted = lines_in(log) + lines;
  while (lines_in(log) < wanted) {
    siginfo_t info{};
    if (waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(child, signal);
  return true;
}

// step -> loss, from lines "step bits"; `differs` tells whether a step that was made twice had two losses.
inline std::map<std::int64_t, std::string> losses_of(const std::filesystem::path& log, bool& differs) {
  std::map<std::int64_t, std::string> losses;
  std::ifstream file(log);
  std::int64_t step = 0;
  std::string bits;
  differs = false;
  while (file >> step >> bits) {
    const auto [place, is_new] = losses.emplace(step, bits);
    differs = differs || (!is_new && place->second != bits);
  }
  return losses;
}

}  // namespace kinglet::testing_support
