#include "kinglet/cli/reason_built_in.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "kinglet/base/error.h"
#include "kinglet/cli/serve_options.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/llm/local_model.h"
#include "kinglet/methods/excp/packed_folder.h"
#include "kinglet/methods/fot/game24_model.h"

namespace kinglet::cli {
namespace fs = std::filesystem;
namespace {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (fs::temp_directory_path() / "kinglet-model-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw system_error(pattern, "cannot make a temporary folder", errno);
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

bool asks_built_in_model(const ReasonOptions& options) {
  return options.task == "game24" && options.model.model.empty() && options.model.base_url.empty() &&
         !options.model.simulate;
}

void fit_to_built_in_model(fot::ForestSettings& settings) {
  if (settings.base == fot::Base::kMctsr) {
    throw bad_input("--base", "the built-in model of game24 cannot criticise answers", "tot-bfs or cot, or --model");
  }
  settings.compact_prompts = true;
}

std::unique_ptr<ChatModel> open_built_in_model(int parallel) {
  const ScratchFolder scratch;
  const fs::path folder = scratch.path() / fot::kGame24ModelName;
  excp::unpack_folder(fot::game24_model(), "the built-in model of game24", folder);
  auto* const open = reinterpret_cast<LocalModelEntry*>(find_torch_entry(kLocalModelEntryName));
  LocalEngine engine;
  open({.model = folder.string(), .chat_template = {}}, parallel, engine);
  return std::make_unique<LocalModel>(std::move(engine));
}

}  // namespace kinglet::cli
