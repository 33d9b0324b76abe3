// Options of `kinglet chat`, shared by the light program and the LibTorch module.
#pragma once

#include <string>

#include "kinglet/cli/serve_options.h"
#include "kinglet/serve/chat_session.h"

namespace kinglet::cli {

struct ConversationOptions {
  ServedModelOptions model;
  ChatSettings settings;
  std::string system;
};

}  // namespace kinglet::cli
