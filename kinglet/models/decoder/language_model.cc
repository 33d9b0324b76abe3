#include "kinglet/models/decoder/language_model.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/models/decoder/gguf_model.h"
#include "kinglet/text/gguf_tokenizer.h"
#include "kinglet/text/json_text.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

// Control tokens that end a turn or a text, in the vocabularies of the families that GGUF files are read of. The files
// name one or two of theirs only.
constexpr const char* kTurnEnds[] = {"<end_of_turn>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>"};

bool is_gguf(const fs::path& path) {
  return fs::is_regular_file(path) && as_text(MappedFile(path).bytes()).starts_with("GGUF");
}

fs::path folder_of(const fs::path& path) {
  if (!fs::exists(path)) throw bad_input(path.string(), "there is no such file or folder");
  if (!fs::is_directory(path)) {
    throw bad_input(path.string(), "this is no GGUF file", "name a GGUF file, or a model's folder");
  }
  const bool is_run = !fs::exists(path / "config.json") && fs::exists(path / "model" / "config.json");
  return is_run ? path / "model" : path;
}

void add_eos(std::vector<TokenId>& eos, std::int64_t id, std::int64_t vocabulary) {
  if (id < 0 || id >= vocabulary) return;  // a placeholder: it cannot be generated
  const auto token = static_cast<TokenId>(id);
  if (std::find(eos.begin(), eos.end(), token) == eos.end()) eos.push_back(token);
}

// eos_token_id of generation_config.json: a number, a list of them, or nothing.
std::vector<std::int64_t> generation_eos(const fs::path& folder) {
  const fs::path path = folder / "generation_config.json";
  if (!fs::exists(path)) return {};
  const Json content = parse_json(as_text(read_file(path, 1 << 24)), path.string());
  if (!content.is_object()) throw bad_input(path.string(), fmt::format("{}, not an object", json_kind(content)));
  const auto found = content.find("eos_token_id");
  if (found == content.end() || found->is_null()) return {};
  std::vector<std::int64_t> ids;
  for (const Json& one : found->is_array() ? *found : Json::array({*found})) {
    if (!one.is_number_integer())
      throw bad_input(path.string(), "eos_token_id is neither a token id nor a list of them");
    ids.push_back(one.get<std::int64_t>());
  }
  return ids;
}

void check_size(const Tokenizer& tokenizer, const DecoderConfig& config, const std::string& where) {
  for (std::int64_t id = config.vocabulary_size; id < tokenizer.vocabulary_size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (tokenizer.token(token).empty() || tokenizer.is_special(token)) continue;
    throw bad_input(where,
                    fmt::format("the tokenizer has {} tokens, the model {} embeddings", tokenizer.vocabulary_size(),
                                config.vocabulary_size),
                    "use the tokenizer that belongs to the model");
  }
}

LanguageModel load_gguf(const fs::path& path, WeightType type) {
  LanguageModel model;
  DecoderConfig config;
  {
    const GgufFile file(path);
    model.tokenizer = make_gguf_tokenizer(file.content());
    config = gguf_decoder_config(file.content());
    const auto eot = file.content().optional_integer("tokenizer.ggml.eot_token_id");
    if (eot) config.eos.push_back(*eot);
  }
  check_size(*model.tokenizer, config, path.string());
  for (const std::int64_t id : config.eos) add_eos(model.eos, id, config.vocabulary_size);
  for (const char* text : kTurnEnds) {
    const auto id = model.tokenizer->find_id(text);
    if (id && model.tokenizer->is_special(*id)) add_eos(model.eos, *id, config.vocabulary_size);
  }
  model.decoder = load_gguf_decoder(path, type);
  return model;
}

LanguageModel load_folder(const fs::path& folder, WeightType type) {
  LanguageModel model;
  const DecoderConfig config = read_any_decoder_config(folder);
  model.tokenizer = Tokenizer::load(folder);
  check_size(*model.tokenizer, config, folder.string());
  for (const std::int64_t id : config.eos) add_eos(model.eos, id, config.vocabulary_size);
  for (const std::int64_t id : generation_eos(folder)) add_eos(model.eos, id, config.vocabulary_size);
  if (const auto id = model.tokenizer->eos()) add_eos(model.eos, *id, config.vocabulary_size);
  model.decoder = load_decoder(folder, type, LoadPurpose::kUse);
  return model;
}

// `text` is a template's, in which no token id says where a special token stands.
std::string text_of(const Tokenizer& tokenizer, std::optional<TokenId> token) {
  return token ? tokenizer.token(*token) : std::string();
}

}  // namespace

LanguageModel load_language_model(const fs::path& path, WeightType type) {
  LanguageModel model = is_gguf(path) ? load_gguf(path, type) : load_folder(folder_of(path), type);
  model.decoder->eval();
  return model;
}

ChatTemplate load_chat_template(const fs::path& path, const Tokenizer& tokenizer) {
  const auto missing = [&](const fs::path& where) {
    return bad_input(where.string(), "the model has no chat template", "give the prompt as plain text");
  };
  if (!is_gguf(path)) {
    const fs::path folder = folder_of(path);
    auto found = ChatTemplate::load(folder);
    if (!found) throw missing(folder);
    return *std::move(found);
  }
  const GgufFile file(path);
  const auto source = file.content().optional_text("tokenizer.chat_template");
  if (!source) throw missing(path);
  ChatTemplate result = ChatTemplate::parse(*source, path.string() + ": tokenizer.chat_template");
  result.set_special_token("bos_token", text_of(tokenizer, tokenizer.bos()));
  result.set_special_token("eos_token", text_of(tokenizer, tokenizer.eos()));
  return result;
}

}  // namespace kinglet
