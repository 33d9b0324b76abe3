// A second process of this program, for what the tour must be able to kill.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace kinglet::cli {

class TourChild {
 public:
  // Starts the program with these arguments; its stdout goes into a file, its stderr stays ours. Raises Error.
  TourChild(const std::vector<std::string>& arguments, const std::filesystem::path& out);
  ~TourChild();  // kills it when it still runs
  TourChild(const TourChild&) = delete;
  TourChild& operator=(const TourChild&) = delete;

  // Looks ten times a second; once `enough` holds, the child is killed with SIGKILL. False when it ended before.
  bool kill_when(const std::function<bool()>& enough);
  // The exit code, 128 + signal number when a signal ended it. Both raise Error when we are interrupted.
  int wait();

 private:
  bool has_ended();

  pid_t child_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

}  // namespace kinglet::cli
