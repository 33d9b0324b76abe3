#include "kinglet/cli/ckpt.h"

#include "kinglet/base/error.h"

namespace kinglet::cli {
namespace fs = std::filesystem;

CLI::Option* add_store_argument(CLI::App& command, std::string& store) {
  return command.add_option("store", store, "Folder of the store")->required()->type_name("STORE");
}

CLI::Option* add_param_order_option(CLI::App& command, std::string& file) {
  return command.add_option("--param-order", file, "File with the parameter names in optimizer order, one a line")
      ->type_name("FILE");
}

excp::Store open_store(const fs::path& path, excp::Store::Access access) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    throw bad_input(path.string(), fs::exists(path, error) ? "is not a folder" : "no such store",
                    "'kinglet ckpt pack STORE RUN' makes one");
  }
  if (!fs::exists(path / "manifest.json", error) && !fs::is_directory(path / "steps", error)) {
    throw bad_input(path.string(), "is not a checkpoint store", "'kinglet ckpt pack STORE RUN' makes one");
  }
  return excp::Store::open(path, access);
}

void add_ckpt_command(CLI::App& app, const Globals& globals) {
  CLI::App* ckpt = add_command(app, "ckpt", "Keep training checkpoints in a store that is many times smaller (ExCP)",
                               "kinglet ckpt pack run.store my-run/ --lambda 1\n"
                               "  kinglet ckpt list run.store\n"
                               "  kinglet ckpt get run.store --step 1000 checkpoint-1000",
                               nullptr);
  ckpt->require_subcommand(1);
  add_ckpt_add_commands(*ckpt, globals);
  add_ckpt_look_commands(*ckpt, globals);
  add_ckpt_get_commands(*ckpt, globals);
  add_ckpt_diff_command(*ckpt, globals);
  add_ckpt_upkeep_commands(*ckpt, globals);
}

}  // namespace kinglet::cli
