// A language model made ready for a server or a chat.
#pragma once

#include <memory>

#include "kinglet/cli/serve_options.h"
#include "kinglet/models/decoder/token_engine.h"

namespace kinglet::cli {

struct LoadedModel {
  std::unique_ptr<TokenEngine> engine;
  ServedModel model;
};

// Raises Error as load_language_model() does; for a chat template that is missing only when it was named.
LoadedModel load_served_model(const ServedModelOptions& options, const std::string& name, std::int64_t parallel);

}  // namespace kinglet::cli
