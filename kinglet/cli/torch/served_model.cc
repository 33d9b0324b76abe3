#include "kinglet/cli/torch/served_model.h"

#include <filesystem>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/log.h"
#include "kinglet/models/decoder/decoder_engine.h"
#include "kinglet/models/decoder/language_model.h"

namespace kinglet::cli {
namespace {

constexpr std::uint64_t kLongestTemplate = 1 << 20;

std::optional<ChatTemplate> read_given_template(const std::string& file) {
  if (file.empty()) return std::nullopt;
  return ChatTemplate::parse(as_text(read_file(file, kLongestTemplate)), file);
}

std::optional<ChatTemplate> own_template(const std::string& model, const Tokenizer& tokenizer) {
  try {
    return load_chat_template(model, tokenizer);
  } catch (const Error& error) {
    log_warning("{}", error.what());
    return std::nullopt;
  }
}

void set_special_tokens(ChatTemplate& given, const Tokenizer& tokenizer) {
  if (const auto bos = tokenizer.bos()) given.set_special_token("bos_token", tokenizer.token(*bos));
  if (const auto eos = tokenizer.eos()) given.set_special_token("eos_token", tokenizer.token(*eos));
}

std::string name_of(const std::string& path) {
  const std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  const std::filesystem::path last = normal.has_filename() ? normal : normal.parent_path();
  return (last.extension() == ".gguf" ? last.stem() : last.filename()).string();
}

}  // namespace

LoadedModel load_served_model(const ServedModelOptions& options, const std::string& name, std::int64_t parallel) {
  std::optional<ChatTemplate> given = read_given_template(options.chat_template);  // before the weights are read
  const LanguageModel language_model = load_language_model(options.model, weight_type_of(options.dtype));
  LoadedModel loaded;
  loaded.model.name = name.empty() ? name_of(options.model) : name;
  loaded.model.tokenizer = language_model.tokenizer;
  if (given) set_special_tokens(*given, *language_model.tokenizer);
  loaded.model.chat_template = given ? std::move(given) : own_template(options.model, *language_model.tokenizer);
  loaded.model.eos = language_model.eos;
  EngineOptions engine_options;
  engine_options.parallel = parallel;
  engine_options.context = options.context;
  loaded.engine = make_decoder_engine(language_model.decoder, engine_options);
  return loaded;
}

}  // namespace kinglet::cli
