#include "kinglet/train/language_corpora.h"

#include <array>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/atomic_folder.h"
#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/log.h"
#include "kinglet/base/progress.h"
#include "kinglet/text/bpe_trainer.h"
#include "kinglet/text/chat_template.h"
#include "kinglet/text/training_text.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

constexpr const char* kEndOfText = "<|endoftext|>";

// Everything that belongs to a tokenizer in a Hugging Face folder.
constexpr std::array kTokenizerFiles = {"tokenizer.json",          "tokenizer.model",     "tokenizer_config.json",
                                        "special_tokens_map.json", "chat_template.jinja", "chat_template.json"};

struct Sources {
  std::vector<fs::path> train, validation;
  ReaderOptions reading;
};

Sources sources_of(const LanguageRecipe& recipe, const fs::path& run) {
  Sources sources{recipe.data.train, recipe.data.validation, recipe.data.reading};
  if (!recipe.data.dictionary) return sources;
  const fs::path folder = run / "data";
  sources.train = {folder / "train.jsonl"};
  if (recipe.data.dictionary->validation > 0) sources.validation = {folder / "validation.jsonl"};
  sources.reading.format = DocumentFormat::kDetect;
  return sources;
}

void import_dictionary(const LanguageRecipe& recipe, const fs::path& run, const Sources& sources) {
  if (!recipe.data.dictionary) return;
  bool complete = fs::exists(sources.train[0]);
  for (const fs::path& path : sources.validation) complete = complete && fs::exists(path);
  if (complete) return;
  ImportOptions options = *recipe.data.dictionary;
  options.out = run / "data";
  import_data(options);
}

// ---- the tokenizer ---------------------------------------------------------------------------------------------

void take_tokenizer(const fs::path& path, const fs::path& folder) {
  if (path.extension() == ".gguf") {
    throw bad_input(path.string(), "a GGUF vocabulary cannot be written into the model's folder",
                    "name the tokenizer.json or tokenizer.model of the model");
  }
  Tokenizer::load(path);  // refuses what is no tokenizer before anything is made
  const bool is_folder = fs::is_directory(path);
  copy_tokenizer_files(is_folder ? path : path.parent_path(), folder);
  if (!is_folder) {
    for (const char* name : {"tokenizer.json", "tokenizer.model"}) fs::remove(folder / name);
    write_file_atomically(folder / (path.extension() == ".model" ? "tokenizer.model" : "tokenizer.json"),
                          read_file(path));
  }
}

void feed(BpeTrainer& trainer, const Document& document) {
  if (!document.is_conversation()) return trainer.feed(document.text);
  for (const TrainingPiece& piece : training_pieces(document, nullptr)) trainer.feed(piece.text);
}

void learn_tokenizer(const Sources& sources, std::int64_t vocabulary_size, const fs::path& folder) {
  BpeTrainingOptions options;
  options.vocabulary_size = vocabulary_size;
  options.special_tokens = {kEndOfText};
  BpeTrainer trainer(options);
  for (const fs::path& path : sources.train) {
    DocumentReader reader(path, sources.reading);
    Progress progress("reading " + path.filename().string(), reader.size(), Progress::Unit::kBytes);
    for (std::uint64_t before = 0; const auto document = reader.next(); before = reader.position()) {
      check_interrupt();
      feed(trainer, *document);
      progress.advance(reader.position() - before);
    }
  }
  trainer.write(folder / "tokenizer.json");
  const nlohmann::ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                                         {"bos_token", kEndOfText},
                                         {"eos_token", kEndOfText},
                                         {"pad_token", kEndOfText},
                                         {"clean_up_tokenization_spaces", false}};
  write_file_atomically(folder / "tokenizer_config.json", as_bytes(config.dump(2) + "\n"));
}

void make_tokenizer(const LanguageRecipe& recipe, const fs::path& run, const Sources& sources) {
  if (fs::exists(run / "tokenizer")) return;
  AtomicFolder folder(run / "tokenizer");
  if (recipe.tokenizer.path.empty())
    learn_tokenizer(sources, recipe.tokenizer.vocabulary_size, folder.temporary());
  else
    take_tokenizer(recipe.tokenizer.path, folder.temporary());
  folder.commit();
}

std::optional<ChatTemplate> chat_template(const LanguageRecipe& recipe, const fs::path& run) {
  if (recipe.data.chat == "plain") return std::nullopt;
  auto chat = ChatTemplate::load(run / "tokenizer");
  if (!chat && recipe.data.chat == "template") {
    throw bad_input((run / "tokenizer").string(), "the tokenizer has no chat template",
                    "put one beside it, or set data.chat = \"plain\"");
  }
  return chat;
}

// ---- corpora ---------------------------------------------------------------------------------------------------

void check_corpus(const TokenCorpus& corpus, const Tokenizer& tokenizer) {
  if (corpus.tokenizer_fingerprint() != tokenizer_fingerprint(tokenizer)) {
    throw bad_input(corpus.path().string(), "the tokens are those of another tokenizer",
                    "restore the run's tokenizer folder, or begin a new run (--out)");
  }
  const std::vector<std::string> changed = corpus.changed_sources();
  if (!changed.empty()) {
    throw bad_input(corpus.path().string(), fmt::format("data has changed since the run began: {}", changed.front()),
                    "restore the file, or begin a new run (--out)");
  }
}

void make_corpus(const std::vector<fs::path>& paths, const LanguageRecipe& recipe, const Sources& sources,
                 const Tokenizer& tokenizer, const fs::path& run, const fs::path& out) {
  if (paths.empty()) return;
  if (fs::exists(out)) return check_corpus(TokenCorpus::open(out), tokenizer);
  const auto chat = chat_template(recipe, run);
  const CorpusReport report = build_token_corpus(paths, sources.reading, tokenizer, chat ? &*chat : nullptr, out);
  if (report.untrained_documents > 0) {
    log_warning("{}: {} documents without a reply were left out", paths[0].string(), report.untrained_documents);
  }
  if (report.trained_tokens == 0) {
    fs::remove(out);
    throw bad_input(paths[0].string(), "there is nothing in the data to learn from");
  }
}

fs::path corpus_path(const fs::path& run, const char* which) { return run / "data" / fmt::format("{}.tokens", which); }

}  // namespace

void copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  for (const char* name : kTokenizerFiles) {
    if (fs::exists(from / name)) write_file_atomically(to / name, read_file(from / name));
  }
}

void prepare_language_data(const LanguageRecipe& recipe, const fs::path& run) {
  const Sources sources = sources_of(recipe, run);
  fs::create_directories(run / "data");
  import_dictionary(recipe, run, sources);
  make_tokenizer(recipe, run, sources);
  const auto tokenizer = Tokenizer::load(run / "tokenizer");
  make_corpus(sources.train, recipe, sources, *tokenizer, run, corpus_path(run, "train"));
  make_corpus(sources.validation, recipe, sources, *tokenizer, run, corpus_path(run, "validation"));
}

LanguageCorpora open_language_data(const fs::path& run) {
  LanguageCorpora corpora;
  corpora.tokenizer = Tokenizer::load(run / "tokenizer");
  corpora.train = std::make_shared<TokenCorpus>(TokenCorpus::open(corpus_path(run, "train")));
  if (fs::exists(corpus_path(run, "validation"))) {
    corpora.validation = std::make_shared<TokenCorpus>(TokenCorpus::open(corpus_path(run, "validation")));
  }
  return corpora;
}

void copy_tokenizer(const fs::path& run, const fs::path& model) { copy_tokenizer_files(run / "tokenizer", model); }

}  // namespace kinglet
