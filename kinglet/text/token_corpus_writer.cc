#include <algorithm>
#include <array>
#include <cassert>

#include <fmt/format.h>
#include <unistd.h>

#include "kinglet/base/error.h"
#include "kinglet/text/token_corpus.h"
#include "kinglet/text/token_corpus_format.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace format = corpus_format;
namespace {

constexpr std::size_t kBuffer = 1 << 20;

// Bytes on their way to a file, in large pieces, with their checksum.
class Spool {
 public:
  explicit Spool(AtomicFile& file) : file_(file) {}
  template <typename T>
  void number(T value) {
    ByteWriter(buffer_).number(value);
    if (buffer_.size() >= kBuffer) flush();
  }
  void bytes(ByteView view) {
    buffer_.insert(buffer_.end(), view.begin(), view.end());
    if (buffer_.size() >= kBuffer) flush();
  }
  void flush() {
    hash_.update(buffer_);
    file_.append(buffer_);
    written_ += buffer_.size();
    buffer_.clear();
  }
  std::uint64_t written() const { return written_; }
  std::uint64_t checksum() const { return hash_.digest(); }

 private:
  AtomicFile& file_;
  Bytes buffer_;
  Xxh3Stream hash_;
  std::uint64_t written_ = 0;
};

fs::path beside(fs::path path, const char* suffix) { return path += suffix; }

}  // namespace

CorpusSource describe_source(const fs::path& path) {
  const MappedFile file(path);
  file.advise_sequential();
  Xxh3Stream hash;
  constexpr std::uint64_t kChunk = std::uint64_t{32} << 20;
  for (std::uint64_t at = 0; at < file.bytes().size(); at += kChunk) {
    const std::uint64_t length = std::min<std::uint64_t>(kChunk, file.bytes().size() - at);
    hash.update(file.bytes().subspan(at, length));
    file.release(at, length);
  }
  return {path.string(), file.bytes().size(), hash.digest(), 0};
}

// The tokens go to the file itself; index and mask, which stand behind them, wait in files of their own that are never
// committed and so disappear.
class TokenCorpusWriter::State {
 public:
  State(const fs::path& path, std::int64_t vocabulary_size, std::uint64_t fingerprint)
      : file_(path), index_file_(beside(path, ".index")), mask_file_(beside(path, ".mask")) {
    assert(vocabulary_size > 0);
    header_.token_width = vocabulary_size <= 65536 ? 2 : 4;
    header_.vocabulary_size = static_cast<std::uint64_t>(vocabulary_size);
    header_.tokenizer_fingerprint = fingerprint;
    const Bytes room(format::kHeaderBytes);
    file_.append(room);
    index_.number(std::uint64_t{0});
  }

  void add(std::span<const TokenId> tokens, std::span<const std::uint8_t> trained) {
    assert(trained.empty() || trained.size() == tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      write_token(tokens[i]);
      write_mask(trained.empty() || trained[i] != 0);
    }
    header_.tokens += tokens.size();
    ++header_.documents;
    index_.number(header_.tokens);
  }

  void add_source(CorpusSource source) { sources_.push_back(std::move(source)); }

  void commit() {
    finish_section(format::kTokens, tokens_);
    if (mask_bits_ > 0) mask_.number(mask_byte_);
    append_spool(format::kIndex, index_, index_file_);
    if (trained_ < header_.tokens) append_spool(format::kMask, mask_, mask_file_);
    append_sources();
    header_.sections[format::kMask].offset =
        header_.sections[format::kMask].bytes > 0 ? header_.sections[format::kMask].offset : 0;
    file_.write_at(0, format::encode(header_));
    file_.commit();
  }

  const format::Header& header() const { return header_; }
  std::uint64_t trained() const { return trained_; }

 private:
  void write_token(TokenId token) {
    if (token < 0 || static_cast<std::uint64_t>(token) >= header_.vocabulary_size) {
      throw bad_input("token corpus",
                      fmt::format("token {} is outside of the vocabulary of {}", token, header_.vocabulary_size),
                      "use the tokenizer that belongs to the model");
    }
    if (header_.token_width == 2)
      tokens_.number(static_cast<std::uint16_t>(token));
    else
      tokens_.number(static_cast<std::uint32_t>(token));
  }

  void write_mask(bool trained) {
    trained_ += trained ? 1 : 0;
    mask_byte_ = static_cast<std::uint8_t>(mask_byte_ | (trained ? 1U : 0U) << mask_bits_);
    if (++mask_bits_ < 8) return;
    mask_.number(mask_byte_);
    mask_byte_ = 0;
    mask_bits_ = 0;
  }

  void finish_section(format::SectionName name, Spool& spool) {
    spool.flush();
    header_.sections[name] = {format::kHeaderBytes, spool.written(), spool.checksum()};
  }

  void pad() {
    const Bytes zeros(format::aligned(file_.size()) - file_.size());
    file_.append(zeros);
  }

  void append_spool(format::SectionName name, Spool& spool, AtomicFile& from) {
    spool.flush();
    pad();
    header_.sections[name] = {file_.size(), spool.written(), spool.checksum()};
    const MappedFile content(from.temporary_path());
    constexpr std::uint64_t kChunk = std::uint64_t{16} << 20;
    for (std::uint64_t at = 0; at < content.bytes().size(); at += kChunk) {
      const std::uint64_t length = std::min<std::uint64_t>(kChunk, content.bytes().size() - at);
      file_.append(content.bytes().subspan(at, length));
      content.release(at, length);
    }
  }

  void append_sources() {
    Bytes bytes;
    ByteWriter writer(bytes);
    writer.varint(sources_.size());
    for (const CorpusSource& source : sources_) {
      writer.text(source.path);
      writer.number(source.bytes);
      writer.number(source.checksum);
      writer.number(source.documents);
    }
    pad();
    header_.sections[format::kSources] = {file_.size(), bytes.size(), xxh3(bytes)};
    file_.append(bytes);
  }

  AtomicFile file_, index_file_, mask_file_;
  Spool tokens_{file_}, index_{index_file_}, mask_{mask_file_};
  format::Header header_;
  std::vector<CorpusSource> sources_;
  std::uint64_t trained_ = 0;
  std::uint8_t mask_byte_ = 0;
  unsigned mask_bits_ = 0;
};

TokenCorpusWriter::TokenCorpusWriter(const fs::path& path, std::int64_t vocabulary_size, std::uint64_t fingerprint)
    : state_(std::make_unique<State>(path, vocabulary_size, fingerprint)) {}
TokenCorpusWriter::~TokenCorpusWriter() = default;

void TokenCorpusWriter::add(std::span<const TokenId> tokens, std::span<const std::uint8_t> trained) {
  state_->add(tokens, trained);
}
void TokenCorpusWriter::add_source(CorpusSource source) { state_->add_source(std::move(source)); }
void TokenCorpusWriter::commit() { state_->commit(); }
std::uint64_t TokenCorpusWriter::documents() const { return state_->header().documents; }
std::uint64_t TokenCorpusWriter::tokens() const { return state_->header().tokens; }
std::uint64_t TokenCorpusWriter::trained_tokens() const { return state_->trained(); }

}  // namespace kinglet
