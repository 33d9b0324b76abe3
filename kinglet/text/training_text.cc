#include "kinglet/text/training_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/parallel.h"
#include "kinglet/base/progress.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

std::string_view heading(const std::string& role) {
  if (role == "system") return "### System:\n";
  if (role == "user") return "### Instruction:\n";
  if (role == "assistant") return "### Response:\n";
  if (role == "tool") return "### Tool:\n";
  throw bad_input("conversation", fmt::format("the role '{}' has no plain form", role), "give a chat template");
}

std::string plain_content(const Json& message) {
  const auto content = message.find("content");
  if (content == message.end() || !content->is_string()) {
    throw bad_input("conversation", "a message without a text has no plain form", "give a chat template");
  }
  return content->get<std::string>();
}

std::vector<TrainingPiece> plain_pieces(const Json& messages) {
  std::vector<TrainingPiece> pieces;
  std::string prompt;
  for (const Json& message : messages) {
    const auto& role = message.at("role").get_ref<const std::string&>();
    if (!prompt.empty() || !pieces.empty()) prompt += "\n\n";
    prompt += heading(role);
    if (role != "assistant") {
      prompt += plain_content(message);
      continue;
    }
    pieces.push_back({std::exchange(prompt, {}), false});
    pieces.push_back({plain_content(message), true, true});
  }
  if (!prompt.empty()) pieces.push_back({std::move(prompt), false});
  return pieces;
}

std::vector<TrainingPiece> template_pieces(const Document& document, const ChatTemplate& chat) {
  ChatOptions options;
  options.tools = document.tools;
  const RenderedChat rendered = chat.render_with_spans(document.messages, options);
  std::vector<TrainingPiece> pieces;
  std::size_t at = 0;
  const auto cut = [&](std::size_t end, bool trained) {
    if (end > at) pieces.push_back({rendered.text.substr(at, end - at), trained});
    at = end;
  };
  for (const ByteRange& reply : rendered.replies) {
    cut(reply.begin, false);
    cut(reply.end, true);
  }
  cut(rendered.text.size(), false);
  return pieces;
}

constexpr std::size_t kBatchDocuments = 512;
constexpr std::uint64_t kBatchBytes = std::uint64_t{8} << 20;

// Documents that are encoded together, in the order of their file.
class Batch {
 public:
  Batch(const Tokenizer& tokenizer, const ChatTemplate* chat) : tokenizer_(tokenizer), chat_(chat) {}

  // False when the file is at its end and there is nothing to do.
  bool fill(DocumentReader& reader) {
    documents_.clear();
    const std::uint64_t begin = reader.position();
    while (documents_.size() < kBatchDocuments && reader.position() - begin < kBatchBytes) {
      std::optional<Document> document = reader.next();
      if (!document) break;
      documents_.push_back(std::move(*document));
    }
    return !documents_.empty();
  }

  void encode(const std::string& file) {
    encoded_.assign(documents_.size(), {});
    parallel_for(static_cast<std::int64_t>(documents_.size()), [&](std::int64_t i) {
      const Document& document = documents_[static_cast<std::size_t>(i)];
      try {
        encoded_[static_cast<std::size_t>(i)] = encode_document(document, tokenizer_, chat_);
      } catch (const Error& error) {
        throw Error(error.kind(), fmt::format("{}, line {}", file, document.line), error.what());
      }
    });
  }

  const std::vector<EncodedDocument>& encoded() const { return encoded_; }

 private:
  const Tokenizer& tokenizer_;
  const ChatTemplate* chat_;
  std::vector<Document> documents_;
  std::vector<EncodedDocument> encoded_;
};

}  // namespace

std::vector<TrainingPiece> training_pieces(const Document& document, const ChatTemplate* chat) {
  if (!document.is_conversation()) return {{document.text, true}};
  return chat == nullptr ? plain_pieces(document.messages) : template_pieces(document, *chat);
}

namespace {

// Whether the tokenizer puts BOS before a text that it encodes.
bool begins_with_bos(const Tokenizer& tokenizer) {
  const std::vector<TokenId> around = tokenizer.encode("", /*add_special=*/true);
  return !around.empty() && tokenizer.bos() && around.front() == *tokenizer.bos();
}

}  // namespace

EncodedDocument encode_document(const Document& document, const Tokenizer& tokenizer, const ChatTemplate* chat) {
  EncodedDocument result;
  const auto add = [&](const std::vector<TokenId>& tokens, bool trained) {
    result.tokens.insert(result.tokens.end(), tokens.begin(), tokens.end());
    result.trained.resize(result.tokens.size(), trained ? 1 : 0);
  };
  // Templates write BOS themselves.
  if (chat == nullptr && begins_with_bos(tokenizer)) add({*tokenizer.bos()}, !document.is_conversation());
  for (const TrainingPiece& piece : training_pieces(document, chat)) {
    add(tokenizer.encode(piece.text, /*add_special=*/false), piece.trained);
    if (piece.ends_reply && tokenizer.eos()) add({*tokenizer.eos()}, true);
  }
  return result;
}

std::uint64_t tokenizer_fingerprint(const Tokenizer& tokenizer) {
  Xxh3Stream hash;
  const auto add = [&](std::string_view text) {
    const std::uint64_t length = text.size();
    hash.update(std::as_bytes(std::span(&length, 1)));
    hash.update(as_bytes(text));
  };
  for (std::int64_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
    try {
      add(tokenizer.token(static_cast<TokenId>(id)));
    } catch (const Error&) {
      add("");  // vocabularies may have holes
    }
  }
  for (const std::optional<TokenId>& special : {tokenizer.bos(), tokenizer.eos()}) {
    add(special ? std::to_string(*special) : std::string("none"));
  }
  return hash.digest();
}

CorpusReport build_token_corpus(const std::vector<fs::path>& sources, const ReaderOptions& reading,
                                const Tokenizer& tokenizer, const ChatTemplate* chat, const fs::path& out) {
  CorpusReport report;
  for (const fs::path& source : sources) report.bytes += MappedFile(source).bytes().size();
  TokenCorpusWriter writer(out, tokenizer.vocabulary_size(), tokenizer_fingerprint(tokenizer));
  Progress progress("tokenizing", report.bytes, Progress::Unit::kBytes);
  for (const fs::path& path : sources) {
    CorpusSource source = describe_source(path);
    DocumentReader reader(path, reading);
    Batch batch(tokenizer, chat);
    for (std::uint64_t before = 0; batch.fill(reader); before = reader.position()) {
      check_interrupt();
      batch.encode(path.string());
      for (const EncodedDocument& document : batch.encoded()) {
        if (std::none_of(document.trained.begin(), document.trained.end(), [](std::uint8_t one) { return one != 0; })) {
          ++report.untrained_documents;
          continue;
        }
        writer.add(document.tokens, document.trained);
        ++source.documents;
      }
      progress.advance(reader.position() - before);
    }
    writer.add_source(std::move(source));
  }
  writer.commit();
  report.documents = writer.documents();
  report.tokens = writer.tokens();
  report.trained_tokens = writer.trained_tokens();
  return report;
}

}  // namespace kinglet
