#include "kinglet/cli/torch/answer_output.h"

#include <cstdio>

#include "kinglet/base/error.h"

namespace kinglet::cli {

void write_text(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) throw failed("stdout", "cannot write the text", "check the disk or the program that reads it");
}

}  // namespace kinglet::cli
