// What the commands that write a model's text share.
#pragma once

#include <string_view>

namespace kinglet::cli {

inline constexpr int kInterruptedCode = 130;  // the exit code after Ctrl-C

// To stdout, at once. Raises Error (failed) when it cannot be written.
void write_text(std::string_view text);

}  // namespace kinglet::cli
