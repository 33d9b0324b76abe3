// Error: the one exception type of Kinglet.
//
// An error message is one line: where it happened (file, tensor, field), what is wrong, and what to do.
// Raise it where the fact is known; the command line prints `what()` and exits with `exit_code()`.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace kinglet {

enum class ErrorKind {
  kFailed,       // the operation could not be completed (I/O, no space, corrupt store): exit code 1
  kBadInput,     // the user's file or arguments are wrong: exit code 2
  kInterrupted,  // SIGINT or SIGTERM arrived: exit code 130
};

class Error : public std::runtime_error {
 public:
  // `where` may be empty; `remedy` may be empty. Control characters (file contents may be hostile) are escaped.
  Error(ErrorKind kind, std::string_view where, std::string_view what, std::string_view remedy = {});

  ErrorKind kind() const noexcept { return kind_; }
  int exit_code() const noexcept;

 private:
  ErrorKind kind_;
};

inline Error bad_input(std::string_view where, std::string_view what, std::string_view remedy = {}) {
  return Error(ErrorKind::kBadInput, where, what, remedy);
}
inline Error failed(std::string_view where, std::string_view what, std::string_view remedy = {}) {
  return Error(ErrorKind::kFailed, where, what, remedy);
}
// Adds strerror(error_number) to `what`; disk-full and permission errors get their remedy.
Error system_error(std::string_view where, std::string_view what, int error_number);

// Replaces control characters and invalid UTF-8 by \xNN escapes, so that one message stays one line.
std::string printable(std::string_view text);

}  // namespace kinglet
