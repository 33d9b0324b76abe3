// The model that kinglet reason asks about the Game of 24 when none is named.
#pragma once

#include <memory>

#include "kinglet/cli/reason_options.h"
#include "kinglet/llm/chat_model.h"

namespace kinglet::cli {

bool asks_built_in_model(const ReasonOptions& options);

// What the built-in model can be asked: compact prompts. Raises Error (bad input) for a base that it knows nothing of.
void fit_to_built_in_model(fot::ForestSettings& settings);

// Unpacks it into a folder of its own below $TMPDIR, which is gone again when this returns. `parallel`: calls at once.
// Raises Error (failed) when the program's copy is damaged or LibTorch is missing.
std::unique_ptr<ChatModel> open_built_in_model(int parallel);

}  // namespace kinglet::cli
