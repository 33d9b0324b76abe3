// The entry point of `kinglet memoryformer` in libkinglet_torch.so.
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/atomic_folder.h"
#include "kinglet/base/error.h"
#include "kinglet/base/progress.h"
#include "kinglet/cli/memoryformer_options.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/methods/memoryformer/file_tables.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/methods/memoryformer/official.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/text/tokenizer.h"
#include "kinglet/train/language_corpora.h"
#include "kinglet/train/torch_threads.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<Decoder> read_memory_model(const MemoryFormerCommand& options) {
  if (options.task == MemoryFormerCommand::Task::kImport) {
    OfficialSettings settings;
    settings.num_heads = options.heads;
    settings.max_positions = options.max_positions;
    return load_official_memoryformer(options.input, settings);
  }
  // For int8 the tables are rounded from where they lie in the file: a model may be larger than the memory.
  const LoadPurpose purpose = options.dtype == "int8" ? LoadPurpose::kUse : LoadPurpose::kTraining;
  auto decoder = load_decoder(options.input, WeightType::kAsStored, purpose);
  if (memoryformer_config_of(*decoder) == nullptr) {
    throw bad_input(options.input, "is no MemoryFormer", "kinglet inspect --cost says what it is");
  }
  return decoder;
}

// The folder whose tokenizer belongs to the model; empty when there is none.
fs::path tokenizer_beside(const MemoryFormerCommand& options) {
  if (!options.tokenizer.empty()) return options.tokenizer;
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(fs::path(options.input) / name)) return options.input;
  }
  return {};
}

void check_place(const MemoryFormerCommand& options) {
  if (!fs::exists(options.output)) return;
  if (!options.overwrite) throw bad_input(options.output, "is there already", "choose another folder, or --overwrite");
  if (!fs::exists(fs::path(options.output) / "config.json")) {
    throw bad_input(options.output, "is no model, and would be lost", "choose another folder");
  }
}

void write_memory_model(const fs::path& folder, const Decoder& decoder, const MemoryFormerCommand& options) {
  if (options.dtype == "int8") {
    check_trainable(*memoryformer_config_of(decoder), options.input);
    save_with_int8_tables(folder, decoder);
  } else {
    save_decoder(folder, decoder, options.dtype == "bf16" ? "bfloat16" : "float32");
  }
}

std::uint64_t bytes_of_weights(const fs::path& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  return bytes;
}

}  // namespace
}  // namespace kinglet::cli

extern "C" __attribute__((visibility("default"))) int kinglet_run_memoryformer(
    const kinglet::cli::MemoryFormerCommand& options, const kinglet::cli::Globals& globals) {
  using namespace kinglet;
  using namespace kinglet::cli;
  check_place(options);
  share_torch_threads();
  TableUse once;
  once.once = true;
  register_memoryformer(once);
  const auto decoder = read_memory_model(options);
  const fs::path tokenizer = tokenizer_beside(options);
  if (!tokenizer.empty()) Tokenizer::load(tokenizer);
  AtomicFolder folder(options.output);
  write_memory_model(folder.temporary(), *decoder, options);
  if (!tokenizer.empty()) copy_tokenizer_files(tokenizer, folder.temporary());
  folder.commit_replacing();
  const MemoryFormerConfig& config = *memoryformer_config_of(*decoder);
  const std::uint64_t bytes = bytes_of_weights(options.output);
  if (globals.json) {
    print_json({{"model", options.output},
                {"parameters", parameter_count(config)},
                {"table_elements", table_elements(config)},
                {"bits", config.bits},
                {"expanding_bits", config.expanding_bits},
                {"bytes", bytes}});
    return 0;
  }
  std::cout << fmt::format("model    {:.2f} M parameters, {:.2f} M in tables of {} and {} bits\nsaved    {} ({}, {})\n",
                           static_cast<double>(parameter_count(config)) * 1e-6,
                           static_cast<double>(table_elements(config)) * 1e-6, config.bits,
                           config.bits + config.expanding_bits, options.output, options.dtype,
                           format_bytes(static_cast<double>(bytes)));
  return 0;
}
