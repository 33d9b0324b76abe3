// Runs a program and collects what it printed; for tests of the command line.
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kinglet::testing_support {

struct ProcessResult {
  int exit_code = -1;  // 128 + signal number when a signal ended it
  std::string out, err;
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline ProcessResult run_process(const std::vector<std::string>& arguments) {
  char folder[] = "/tmp/kinglet-process-XXXXXX";
  if (mkdtemp(folder) == nullptr) return {};
  const std::filesystem::path out = std::filesystem::path(folder) / "out", err = std::filesystem::path(folder) / "err";
  const pid_t child = fork();
  if (child == 0) {
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(open(out.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ProcessResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = slurp(out);
  result.err = slurp(err);
  std::filesystem::remove_all(folder);
  return result;
}

// The program under test with these arguments.
inline ProcessResult run_kinglet(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), KINGLET_PROGRAM);
  return run_process(arguments);
}

}  // namespace kinglet::testing_support
