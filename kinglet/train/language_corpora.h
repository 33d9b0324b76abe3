// What a recipe's data becomes in the run folder: imported dictionaries, a tokenizer, token corpora.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "kinglet/text/token_corpus.h"
#include "kinglet/text/tokenizer.h"
#include "kinglet/train/language_recipe.h"

namespace kinglet {

// Makes what the folder does not have yet; every part appears complete or not at all. Raises Error (bad input) when
// data has changed since, and as readers and tokenizers do.
void prepare_language_data(const LanguageRecipe& recipe, const std::filesystem::path& run);

// What prepare_language_data() made.
struct LanguageCorpora {
  std::unique_ptr<Tokenizer> tokenizer;
  std::shared_ptr<const TokenCorpus> train, validation;  // validation: null when there is none
};
LanguageCorpora open_language_data(const std::filesystem::path& run);

// Copies every file that belongs to a tokenizer, the chat template among them, from one folder to another.
void copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

// Copies the tokenizer of a run into a model's folder, so that it is complete for whoever loads it.
void copy_tokenizer(const std::filesystem::path& run, const std::filesystem::path& model);

}  // namespace kinglet
