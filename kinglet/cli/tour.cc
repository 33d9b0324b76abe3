#include <memory>

#include "kinglet/cli/command.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/cli/tour_options.h"

namespace kinglet::cli {

void add_tour_command(CLI::App& app, const Globals& globals) {
  auto options = std::make_shared<TourOptions>();
  CLI::App* command =
      add_command(app, "tour", "See every finished system at work on real data, with numbers and controls",
                  "kinglet tour --out my-tour", [options, &globals] {
                    return reinterpret_cast<TourEntry*>(find_torch_entry(kTourEntryName))(*options, globals);
                  });
  command->add_option("--out", options->output, "Folder for runs, stores and report.html")->capture_default_str();
  command->add_option("--images", options->images, "Folder with the Fashion-MNIST files")->capture_default_str();
  command->add_option("--seed", options->seed, "Seed of the training runs")->capture_default_str();
  command->add_flag("--quick", options->quick, "A fraction of the training steps");
}

}  // namespace kinglet::cli
