// The sub-commands of `kinglet eval`, one file each.
#pragma once

#include "kinglet/cli/command.h"

namespace kinglet::cli {

void add_answers_command(CLI::App& eval, const Globals& globals);  // eval_answers.cc

}  // namespace kinglet::cli
