// kinglet distill: a recipe, a teacher and instruction data become a student.
#include <memory>

#include "kinglet/cli/command.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/cli/train_options.h"

namespace kinglet::cli {

void add_distill_command(CLI::App& app, const Globals& globals) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command = add_command(
      app, "distill", "Distil a language model into a smaller one (MGSR and its baselines); called again, it goes on",
      "kinglet distill recipes/distill-words.toml --set method=mgsr --out my-student", [options, &globals] {
        return reinterpret_cast<TrainEntry*>(find_torch_entry(kDistillEntryName))(*options, globals);
      });
  add_train_options(*command, *options, "docs/mgsr.md", "data, models and the cache of logits");
}

}  // namespace kinglet::cli
