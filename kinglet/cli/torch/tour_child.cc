#include "kinglet/cli/torch/tour_child.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"

namespace kinglet::cli {
namespace {

void pause_briefly() { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }

}  // namespace

TourChild::TourChild(const std::vector<std::string>& arguments, const std::filesystem::path& out) {
  std::vector<char*> argv = {const_cast<char*>("kinglet")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  const int error = posix_spawn(&child_, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw system_error("/proc/self/exe", "cannot start a second process", error);
}

TourChild::~TourChild() {
  if (ended_) return;
  ::kill(child_, SIGKILL);
  ::waitpid(child_, &status_, 0);
}

bool TourChild::has_ended() {
  check_interrupt();
  if (!ended_) ended_ = ::waitpid(child_, &status_, WNOHANG) == child_;
  return ended_;
}

bool TourChild::kill_when(const std::function<bool()>& enough) {
  for (; !has_ended(); pause_briefly()) {
    if (!enough()) continue;
    ::kill(child_, SIGKILL);
    wait();
    return true;
  }
  return false;
}

int TourChild::wait() {
  while (!has_ended()) pause_briefly();
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
}

}  // namespace kinglet::cli
