#include "kinglet/train/language_recipe.h"

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/model_folder.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kTokenMillion = 1'000'000;

// ---- model and checkpoints -------------------------------------------------------------------------------------

void check_vocabulary(const DecoderConfig& config, const ModelPurpose& purpose, const std::string& where) {
  if (purpose.vocabulary_size <= config.vocabulary_size) return;
  throw bad_input(where,
                  fmt::format("the tokenizer has {} tokens, but the model's embedding only {}", purpose.vocabulary_size,
                              config.vocabulary_size),
                  "take the tokenizer that the model was made with");
}

ModelFactory read_pretrained(RecipeTable& model) {
  const fs::path folder = model.need_path("from");
  return [folder](const ModelPurpose& purpose) {
    check_vocabulary(read_decoder_config(folder), purpose, folder.string());
    return load_decoder(folder, WeightType::kFloat32);
  };
}

ModelFactory read_new_decoder(RecipeTable& model) {
  DecoderShape shape;
  shape.family = model.choice("family", "llama", family_names());
  shape.hidden_size = model.need_integer("hidden_size", {1, kTokenMillion});
  shape.num_layers = model.need_integer("num_layers", {1, 4096});
  shape.num_heads = model.need_integer("num_heads", {1, 65536});
  shape.num_kv_heads = model.integer("num_kv_heads", 0, {0, 65536});
  shape.head_dim = model.integer("head_dim", 0, {0, 65536});
  shape.intermediate_size = model.integer("intermediate_size", 0, {0, 16 * kTokenMillion});
  shape.max_positions = model.integer("max_positions", 0, {0, 1000 * kTokenMillion});
  shape.vocabulary_size = model.integer("vocabulary_size", 0, {0, 16 * kTokenMillion});
  shape.tied_embeddings = model.boolean("tied_embeddings", true);
  shape.rope_theta = model.number("rope_theta", 0.0, at_least(0.0));
  const std::string where = model.place("family");
  // Numbers that do not fit should not wait for the tokenizer to be refused.
  DecoderShape trial = shape;
  if (trial.vocabulary_size == 0) trial.vocabulary_size = 1;
  if (trial.max_positions == 0) trial.max_positions = 1;
  decoder_config(trial, where);
  return [shape, where](const ModelPurpose& purpose) {
    DecoderShape full = shape;
    if (full.vocabulary_size == 0) full.vocabulary_size = purpose.vocabulary_size;
    if (full.max_positions == 0) full.max_positions = purpose.tokens;
    DecoderConfig config = decoder_config(full, where);
    check_vocabulary(config, purpose, where);
    config.bos = purpose.bos;
    config.eos = purpose.eos;
    auto decoder = std::make_shared<Decoder>(config);
    decoder->initialize(purpose.seed);
    return decoder;
  };
}

template <typename Kinds>
std::vector<std::string> names_of(const Kinds& kinds) {
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds) names.push_back(name);
  return names;
}

void read_model(RecipeTable root, const RecipeKinds& kinds, LanguageRecipe& recipe) {
  RecipeTable model = root.table("model");
  recipe.model_from = model.optional_path("from").value_or("");
  const std::string kind = model.choice("kind", "decoder", names_of(kinds.models));
  // A model of another kind that begins with a dense one has its tokenizer.
  if (kind != "decoder" && recipe.model_from.empty() && model.has("from_dense")) {
    recipe.model_from = model.need_path("from_dense");
  }
  recipe.model = kinds.models.at(kind)(model);
}

// ---- data ------------------------------------------------------------------------------------------------------

std::optional<ImportOptions> read_dictionary(RecipeTable& data) {
  const auto name = data.optional_choice("dictionary", {"gcide", "wordnet"});
  ImportOptions options;
  options.as =
      data.choice("as", "text", {"text", "instructions"}) == "text" ? ImportForm::kText : ImportForm::kInstructions;
  options.validation = data.number("validation_part", 0.02, from_up_to(0.0, 1.0));
  options.input = data.optional_path("dictionary_path").value_or("");
  if (!name) return std::nullopt;
  options.from = *name == "gcide" ? ImportSource::kGcide : ImportSource::kWordNet;
  return options;
}

void read_data(RecipeTable root, LanguageRecipe& recipe) {
  RecipeTable table = root.table("data");
  LanguageDataRecipe& data = recipe.data;
  data.train = table.paths("train");
  data.validation = table.paths("validation");
  data.dictionary = read_dictionary(table);
  if (data.train.empty() == !data.dictionary) {
    throw table.refuse(data.dictionary ? "dictionary" : "train",
                       data.dictionary ? "stands beside 'train'" : "is missing, and so is 'dictionary'",
                       "name files in data.train, or a dictionary");
  }
  if (data.dictionary && !data.validation.empty()) {
    throw table.refuse("validation", "stands beside 'dictionary'", "set validation_part instead");
  }
  data.reading.format =
      *format_of_name(table.choice("format", "auto", {"auto", "text", "jsonl", "alpaca", "sharegpt", "messages"}));
  const std::string unit = table.choice("unit", "file", {"file", "paragraph", "line"});
  data.reading.text_unit = unit == "file" ? TextUnit::kFile : unit == "line" ? TextUnit::kLine : TextUnit::kParagraph;
  data.chat = table.choice("chat", "auto", {"auto", "template", "plain"});
  const bool concatenate = table.choice("packing", "concatenate", {"concatenate", "best-fit"}) == "concatenate";
  data.packing = concatenate ? Packing::kConcatenate : Packing::kBestFit;
  data.separate_documents = table.boolean("separate_documents", !concatenate);
  data.tokens = table.integer("tokens", 256, {1, 16 * kTokenMillion});
}

void read_tokenizer(RecipeTable root, LanguageRecipe& recipe) {
  RecipeTable table = root.table("tokenizer");
  recipe.tokenizer.path = table.optional_path("path").value_or(recipe.model_from);
  recipe.tokenizer.vocabulary_size = table.integer("vocabulary_size", 0, {0, 16 * kTokenMillion});
  const bool has_path = !recipe.tokenizer.path.empty();
  if (has_path && recipe.tokenizer.vocabulary_size != 0) {
    throw table.refuse("vocabulary_size", "is for a new tokenizer, but there is one already",
                       "leave out one of vocabulary_size, tokenizer.path and model.from");
  }
  if (!has_path && recipe.tokenizer.vocabulary_size == 0) {
    throw table.refuse("path", "is missing", "name a tokenizer, or say the vocabulary_size of a new one");
  }
}

}  // namespace

RecipeKinds basic_kinds() {
  RecipeKinds kinds;
  kinds.models["decoder"] = [](RecipeTable& model) {
    return model.has("from") ? read_pretrained(model) : read_new_decoder(model);
  };
  kinds.sinks["plain"] = read_plain_sink;
  return kinds;
}

LanguageRecipe read_language_recipe(RecipeReader& reader, const RecipeKinds& kinds, const std::string& default_name) {
  LanguageRecipe recipe;
  RecipeTable root = reader.root();
  recipe.name = root.text("name", default_name);
  recipe.seed = static_cast<std::uint64_t>(root.integer("seed", 1, {0, INT64_MAX}));
  read_model(root, kinds, recipe);
  read_tokenizer(root, recipe);
  read_data(root, recipe);
  const bool has_validation =
      recipe.data.dictionary ? recipe.data.dictionary->validation > 0 : !recipe.data.validation.empty();
  read_course(root, kinds.sinks, has_validation, recipe);
  return recipe;
}

}  // namespace kinglet
