#include "kinglet/text/data_summary.h"

#include <fmt/format.h>

#include "kinglet/base/hash.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/progress.h"
#include "kinglet/text/jinja_text.h"
#include "kinglet/text/token_corpus.h"
#include "kinglet/text/token_corpus_format.h"
#include "kinglet/text/training_text.h"

namespace kinglet {
namespace {

constexpr std::size_t kExampleBytes = 600;

std::string shortened(std::string text) {
  if (text.size() <= kExampleBytes) return text;
  text.resize(kExampleBytes);
  text.resize(jinja::valid_utf8_prefix(text));
  return text + " ...";
}

std::string example_of(const Document& document) {
  if (!document.is_conversation()) return shortened(document.text);
  std::string text;
  for (const Json& message : document.messages) {
    const auto content = message.find("content");
    const bool has_text = content != message.end() && content->is_string();
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", message["role"].get<std::string>(),
                        has_text ? content->get<std::string>() : message.dump());
  }
  return shortened(std::move(text));
}

std::uint64_t characters_of(const Document& document) {
  if (!document.is_conversation()) return jinja::count_code_points(document.text);
  std::uint64_t count = 0;
  for (const Json& message : document.messages) {
    const auto content = message.find("content");
    if (content != message.end() && content->is_string()) {
      count += jinja::count_code_points(content->get_ref<const std::string&>());
    }
  }
  return count;
}

bool is_corpus(const std::filesystem::path& path) {
  const MappedFile file(path);
  return file.bytes().size() >= corpus_format::kHeaderBytes &&
         as_text(file.bytes().first(corpus_format::kMagic.size())) == corpus_format::kMagic;
}

DataSummary summarize_corpus(const std::filesystem::path& path, const SummaryOptions& options) {
  const TokenCorpus corpus = TokenCorpus::open(path, TokenCorpus::Check::kEverything);
  DataSummary summary;
  summary.kind = "token corpus";
  summary.bytes = std::filesystem::file_size(path);
  summary.documents = corpus.documents();
  summary.tokens = corpus.tokens();
  std::uint64_t trained = 0;
  for (std::uint64_t d = 0; d < corpus.documents(); ++d) {
    for (std::uint64_t i = 0; i < corpus.length(d); ++i) trained += corpus.trained(d, i) ? 1 : 0;
    if (options.tokenizer == nullptr || d >= options.examples) continue;
    std::vector<TokenId> ids;
    corpus.read(d, 0, std::min<std::uint64_t>(corpus.length(d), kExampleBytes), ids);
    summary.examples.push_back(shortened(options.tokenizer->decode(ids, /*skip_special=*/false)));
  }
  summary.trained_tokens = trained;
  summary.notes.push_back(
      fmt::format("tokenizer {} with {} entries", hex64(corpus.tokenizer_fingerprint()), corpus.vocabulary_size()));
  for (const CorpusSource& source : corpus.sources()) {
    summary.notes.push_back(fmt::format("made of {}: {} documents", source.path, source.documents));
  }
  for (const std::string& change : corpus.changed_sources()) summary.notes.push_back("warning: " + change);
  return summary;
}

}  // namespace

DataSummary summarize_data(const std::filesystem::path& path, const SummaryOptions& options) {
  if (is_corpus(path)) return summarize_corpus(path, options);
  DocumentReader reader(path, options.reading);
  DataSummary summary;
  summary.kind = std::string(format_name(reader.format()));
  summary.bytes = reader.size();
  if (options.tokenizer != nullptr) summary.tokens = summary.trained_tokens = 0;
  Progress progress("reading", reader.size(), Progress::Unit::kBytes);
  for (std::uint64_t before = 0; auto document = reader.next(); before = reader.position()) {
    check_interrupt();
    progress.advance(reader.position() - before);
    ++summary.documents;
    summary.messages += document->is_conversation() ? document->messages.size() : 0;
    summary.characters += characters_of(*document);
    if (summary.examples.size() < options.examples) summary.examples.push_back(example_of(*document));
    if (options.tokenizer == nullptr) continue;
    const EncodedDocument encoded = encode_document(*document, *options.tokenizer, nullptr);
    *summary.tokens += encoded.tokens.size();
    for (const std::uint8_t one : encoded.trained) *summary.trained_tokens += one;
  }
  return summary;
}

}  // namespace kinglet
