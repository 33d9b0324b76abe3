// What a recipe of `kinglet train` says (docs/training.md has the keys), as values that were checked one by one.
//
// Model kinds and checkpoint kinds come from rooms above this one; each reads its own table through a function that the
// caller registers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/io/recipe_reader.h"
#include "kinglet/models/decoder/decoder.h"
#include "kinglet/text/data_import.h"
#include "kinglet/text/documents.h"
#include "kinglet/text/sampler.h"
#include "kinglet/train/course_recipe.h"

namespace kinglet {

// What a model is made for: known when the tokenizer is.
struct ModelPurpose {
  std::int64_t vocabulary_size = 0;  // of the tokenizer
  std::int64_t tokens = 0;           // the longest sequence of the training
  std::vector<std::int64_t> bos, eos;
  std::uint64_t seed = 0;
  // Tokens [batch, tokens] of batch 0, 1 ... of the training data, for models that begin with what they see; may be
  // empty.
  std::function<at::Tensor(std::int64_t batch)> sample;
};
// Makes the model, weights and all.
using ModelFactory = std::function<std::shared_ptr<Decoder>(const ModelPurpose&)>;
// Reads the [model] table; what it returns is called once the tokenizer is there.
using ModelKind = std::function<ModelFactory(RecipeTable& model)>;

struct RecipeKinds {
  std::map<std::string, ModelKind> models;
  std::map<std::string, SinkKind> sinks;
};
// "decoder" (every family, new or from a folder) and "plain".
RecipeKinds basic_kinds();

struct LanguageDataRecipe {
  std::vector<std::filesystem::path> train, validation;  // files, or
  std::optional<ImportOptions> dictionary;               // what is imported into the run folder
  ReaderOptions reading;
  std::string chat = "auto";  // auto, template, plain
  Packing packing = Packing::kConcatenate;
  bool separate_documents = false;
  std::int64_t tokens = 256;
};

struct TokenizerRecipe {
  std::filesystem::path path;        // empty: that of the model, or a new one
  std::int64_t vocabulary_size = 0;  // of a new one
};

struct LanguageRecipe : CourseRecipe {
  std::string name;
  std::uint64_t seed = 1;
  std::filesystem::path model_from;  // a folder with a model whose tokenizer is taken; may be empty
  ModelFactory model;
  TokenizerRecipe tokenizer;
  LanguageDataRecipe data;
};

// Raises Error (bad input) with the place of the first thing that is wrong. Call reader.finish() afterwards.
LanguageRecipe read_language_recipe(RecipeReader& reader, const RecipeKinds& kinds, const std::string& default_name);

}  // namespace kinglet
