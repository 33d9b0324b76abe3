// Documents as tokens with the mask that says which of them a model learns to write, and whole corpora of them.
//
// Of a plain text everything is trained. Of a conversation only the replies of the assistant are, each with the end of
// turn that the model must learn to write. With a chat template the conversation is written as the model wants it;
// without one as
//
//     ### System:
//     ...
//
//     ### Instruction:
//     ...
//
//     ### Response:
//     ...
//
// with a blank line between the parts, and EOS after each response where the tokenizer has one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kinglet/text/chat_template.h"
#include "kinglet/text/documents.h"
#include "kinglet/text/token_corpus.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {

struct EncodedDocument {
  std::vector<TokenId> tokens;
  std::vector<std::uint8_t> trained;  // as many
};

// A conversation as text, cut where training begins or ends.
struct TrainingPiece {
  std::string text;
  bool trained = true;
  bool ends_reply = false;  // EOS follows (the plain form)
};
std::vector<TrainingPiece> training_pieces(const Document& document, const ChatTemplate* chat);

// BOS comes first where the tokenizer puts it before texts (a template writes its own).
// Pieces are encoded one by one, so that no token reaches over the edge of a reply; templates put special tokens there.
EncodedDocument encode_document(const Document& document, const Tokenizer& tokenizer, const ChatTemplate* chat);

// The vocabulary and special tokens as one number: tokens of one tokenizer mean nothing to another.
std::uint64_t tokenizer_fingerprint(const Tokenizer& tokenizer);

struct CorpusReport {
  std::uint64_t documents = 0, tokens = 0, trained_tokens = 0, bytes = 0;
  std::uint64_t untrained_documents = 0;  // left out: nothing in them is trained
};

// Reads every source in order and writes the corpus to `out`, with a progress bar. Documents are encoded on all
// threads; the file is the same whatever their number. Raises Error as the reader, the template and the tokenizer do,
// with the file and line of the document.
CorpusReport build_token_corpus(const std::vector<std::filesystem::path>& sources, const ReaderOptions& reading,
                                const Tokenizer& tokenizer, const ChatTemplate* chat, const std::filesystem::path& out);

}  // namespace kinglet
