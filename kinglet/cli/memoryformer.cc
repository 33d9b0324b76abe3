// kinglet memoryformer: models of look-up tables from other files, and in smaller number types.
#include <memory>

#include "kinglet/cli/command.h"
#include "kinglet/cli/memoryformer_options.h"
#include "kinglet/cli/torch_module.h"

namespace kinglet::cli {
namespace {

using Task = MemoryFormerCommand::Task;

CLI::App* add_task(CLI::App& parent, const std::shared_ptr<MemoryFormerCommand>& options, Task task,
                   const std::string& name, const std::string& description, const std::string& example,
                   const Globals& globals) {
  CLI::App* command = add_command(parent, name, description, example, [options, task, &globals] {
    options->task = task;
    return reinterpret_cast<MemoryFormerEntry*>(find_torch_entry(kMemoryFormerEntryName))(*options, globals);
  });
  command->add_option("folder", options->input, "The model")->required()->type_name("FOLDER");
  command->add_option("--out", options->output, "The folder to write")->required()->type_name("FOLDER");
  command
      ->add_option("--dtype", options->dtype,
                   "Number type of tables and matrices in the file; int8: of the tables, for use alone")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
      ->capture_default_str();
  command->add_flag("--overwrite", options->overwrite, "Replace a model that is there");
  return command;
}

}  // namespace

void add_memoryformer_command(CLI::App& app, const Globals& globals) {
  CLI::App* command = app.add_subcommand("memoryformer", "Models whose dense layers are look-ups: import, pack");
  command->require_subcommand(1);
  auto options = std::make_shared<MemoryFormerCommand>();
  CLI::App* import = add_task(*command, options, Task::kImport, "import",
                              "Read a checkpoint of the authors' code (layer_NN-model_00-model_states.pt)",
                              "kinglet memoryformer import global_step1000 --heads 8 --out my-model", globals);
  import->add_option("--heads", options->heads, "Attention heads: their files do not say")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  import->add_option("--max-positions", options->max_positions, "Longest sequence")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  import->add_option("--tokenizer", options->tokenizer, "A folder whose tokenizer files are put beside the model")
      ->type_name("FOLDER");
  add_task(*command, options, Task::kPack, "pack",
           "Write a model with tables of half the bytes, or with int8 of a quarter",
           "kinglet memoryformer pack my-run/model --dtype int8 --out my-model-int8", globals);
}

}  // namespace kinglet::cli
