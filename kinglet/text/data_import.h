// Training data from what people have: dictionaries that Debian packages, plain text, JSON lines of any known shape.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kinglet/text/documents.h"

namespace kinglet {

enum class ImportSource { kGcide, kWordNet, kText, kJsonl };
enum class ImportForm {
  kText,          // {"text"}: for language modelling
  kInstructions,  // {"instruction", "input", "output"}: questions about words; of dictionaries only
};

struct ImportOptions {
  ImportSource from = ImportSource::kGcide;
  ImportForm as = ImportForm::kText;
  std::filesystem::path input;  // a file or folder of text, a JSON lines file, a dictd base path; empty: the package's
  std::filesystem::path out;    // FILE.jsonl, or a folder for train.jsonl and validation.jsonl
  double validation = 0;        // the part of the documents for validation, below 1
  TextUnit text_unit = TextUnit::kFile;
};

struct ImportedFile {
  std::filesystem::path path;
  std::uint64_t documents = 0, bytes = 0;
};
struct ImportReport {
  std::vector<ImportedFile> files;  // training data, then validation data where it was asked for
  std::uint64_t left_out = 0;       // records without text of use
};

// Which file a document goes to follows from its key alone (the headword, small letters; else the text), so that it
// does not change when other documents come or go. Files appear when all are complete. Raises Error (bad input) for
// options that do not fit together and for input that is missing or damaged.
ImportReport import_data(const ImportOptions& options);

}  // namespace kinglet
