// What is in a file of training data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/text/documents.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {

struct SummaryOptions {
  ReaderOptions reading;
  const Tokenizer* tokenizer = nullptr;  // counts tokens where it is given
  std::size_t examples = 3;              // spread over the first documents
};

struct DataSummary {
  std::string kind;  // "jsonl", "alpaca" ... or "token corpus"
  std::uint64_t bytes = 0, documents = 0, messages = 0, characters = 0;
  std::optional<std::uint64_t> tokens, trained_tokens;
  std::vector<std::string> examples;  // at most some hundred characters each
  std::vector<std::string> notes;     // what a user should know: changed sources
};

// Reads the whole file and so checks every record; raises Error (bad input) for the first that does not fit.
DataSummary summarize_data(const std::filesystem::path& path, const SummaryOptions& options);

}  // namespace kinglet
