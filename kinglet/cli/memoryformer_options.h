// Options of `kinglet memoryformer`, shared by the light program and the LibTorch module.
#pragma once

#include <cstdint>
#include <string>

namespace kinglet::cli {

struct MemoryFormerCommand {
  enum class Task { kImport, kPack };
  Task task = Task::kPack;
  std::string input, output;   // folders
  std::string dtype = "bf16";  // in the written file: fp32, bf16; int8: of the tables, beside bf16
  bool overwrite = false;
  // Of import: what the authors' files do not say.
  std::int64_t heads = 8, max_positions = 2048;
  std::string tokenizer;  // a folder whose tokenizer goes beside the model; may be empty
};

}  // namespace kinglet::cli
