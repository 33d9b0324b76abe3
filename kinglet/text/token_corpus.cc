#include "kinglet/text/token_corpus.h"

#include <cassert>
#include <cstring>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/token_corpus_format.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace format = corpus_format;
namespace {

constexpr std::uint64_t kMaxSources = 1'000'000;
constexpr std::string_view kMakeAgain = "make the corpus again";

[[noreturn]] void damaged(const std::string& where, std::string_view what) { throw bad_input(where, what, kMakeAgain); }

format::Header read_header(ByteView file, const std::string& where) {
  if (file.size() < format::kHeaderBytes || as_text(file.first(format::kMagic.size())) != format::kMagic) {
    throw bad_input(where, "not a token corpus");
  }
  const ByteView body = file.first(format::kHeaderBytes - sizeof(std::uint64_t));
  ByteReader reader(file.first(format::kHeaderBytes), where);
  reader.take(format::kMagic.size());
  const auto version = reader.number<std::uint32_t>();
  if (version != format::kVersion) throw bad_input(where, fmt::format("token corpus of unknown version {}", version));
  format::Header header;
  header.token_width = reader.number<std::uint32_t>();
  header.vocabulary_size = reader.number<std::uint64_t>();
  header.tokenizer_fingerprint = reader.number<std::uint64_t>();
  header.documents = reader.number<std::uint64_t>();
  header.tokens = reader.number<std::uint64_t>();
  for (format::Section& section : header.sections) {
    section.offset = reader.number<std::uint64_t>();
    section.bytes = reader.number<std::uint64_t>();
    section.checksum = reader.number<std::uint64_t>();
  }
  ByteReader tail(file.subspan(body.size(), sizeof(std::uint64_t)), where);
  if (tail.number<std::uint64_t>() != xxh3(body)) damaged(where, "the header is damaged");
  return header;
}

// Every size follows from the counts; the sections tile the file.
void check_sizes(const format::Header& header, std::uint64_t file_bytes, const std::string& where) {
  const auto& sections = header.sections;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 48;
  const bool counts_fit = (header.token_width == 2 || header.token_width == 4) && header.tokens < kMost &&
                          header.documents < kMost && header.vocabulary_size > 0 &&
                          header.vocabulary_size <= (std::uint64_t{1} << 31) &&
                          sections[format::kSources].bytes < kMost;
  if (!counts_fit) damaged(where, "a count in the header is out of range");
  const std::uint64_t mask_bytes = (header.tokens + 7) / 8;
  const bool sizes_fit = sections[format::kTokens].bytes == header.tokens * header.token_width &&
                         sections[format::kIndex].bytes == (header.documents + 1) * sizeof(std::uint64_t) &&
                         (sections[format::kMask].bytes == 0 || sections[format::kMask].bytes == mask_bytes);
  if (!sizes_fit) damaged(where, "counts and sizes in the header disagree");
  std::uint64_t at = format::kHeaderBytes;
  for (const format::Section& section : sections) {
    if (&section == &sections[format::kMask] && section.bytes == 0) continue;
    at = format::aligned(at);
    if (section.offset != at || section.bytes > file_bytes || at > file_bytes - section.bytes) {
      damaged(where, "a section lies outside of the file or at a wrong place");
    }
    at += section.bytes;
  }
  if (at != file_bytes) damaged(where, "there is data beyond the end");
}

std::vector<CorpusSource> read_sources(ByteView bytes, const std::string& where) {
  ByteReader reader(bytes, where);
  const std::uint64_t count = reader.count(std::min<std::uint64_t>(kMaxSources, bytes.size()), "the number of sources");
  std::vector<CorpusSource> sources;
  for (std::uint64_t i = 0; i < count; ++i) {
    CorpusSource source;
    source.path = reader.text(4096);
    source.bytes = reader.number<std::uint64_t>();
    source.checksum = reader.number<std::uint64_t>();
    source.documents = reader.number<std::uint64_t>();
    sources.push_back(std::move(source));
  }
  reader.expect_end();
  return sources;
}

template <typename T>
T number_at(ByteView bytes, std::uint64_t place) {
  T value;
  std::memcpy(&value, bytes.data() + place * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

TokenCorpus TokenCorpus::open(const fs::path& path, Check check) {
  TokenCorpus corpus;
  corpus.file_ = MappedFile(path);
  const ByteView file = corpus.file_.bytes();
  const std::string where = path.string();
  const format::Header header = read_header(file, where);
  check_sizes(header, file.size(), where);
  const auto section = [&](format::SectionName name) {
    const format::Section& one = header.sections[name];
    const ByteView bytes = one.bytes == 0 ? ByteView() : file.subspan(one.offset, one.bytes);
    const bool checked = name != format::kTokens || check == Check::kEverything;
    if (checked && one.bytes > 0 && xxh3(bytes) != one.checksum) damaged(where, "the data is damaged (checksum)");
    return bytes;
  };
  corpus.token_bytes_ = section(format::kTokens);
  corpus.index_ = section(format::kIndex);
  corpus.mask_ = section(format::kMask);
  corpus.sources_ = read_sources(section(format::kSources), where);
  corpus.token_width_ = header.token_width;
  corpus.documents_ = header.documents;
  corpus.tokens_ = header.tokens;
  corpus.vocabulary_size_ = static_cast<std::int64_t>(header.vocabulary_size);
  corpus.tokenizer_fingerprint_ = header.tokenizer_fingerprint;
  corpus.checksum_ = number_at<std::uint64_t>(file, format::kHeaderBytes / sizeof(std::uint64_t) - 1);
  corpus.check_index();
  return corpus;
}

void TokenCorpus::check_index() const {
  std::uint64_t before = 0;
  for (std::uint64_t i = 0; i <= documents_; ++i) {
    const std::uint64_t at = start(i);
    if (at < before || at > tokens_) damaged(file_.path().string(), "the document index is damaged");
    before = at;
  }
  if (start(0) != 0 || before != tokens_) damaged(file_.path().string(), "the document index is damaged");
}

std::uint64_t TokenCorpus::start(std::uint64_t document) const { return number_at<std::uint64_t>(index_, document); }

void TokenCorpus::read(std::uint64_t document, std::uint64_t begin, std::uint64_t count,
                       std::vector<TokenId>& out) const {
  assert(document < documents_ && begin + count <= length(document));
  const std::uint64_t first = start(document) + begin;
  for (std::uint64_t i = first; i < first + count; ++i) {
    const std::uint32_t id =
        token_width_ == 2 ? number_at<std::uint16_t>(token_bytes_, i) : number_at<std::uint32_t>(token_bytes_, i);
    if (id >= static_cast<std::uint64_t>(vocabulary_size_)) {
      damaged(file_.path().string(),
              fmt::format("token {} of document {} is outside of the vocabulary", i - first + begin, document));
    }
    out.push_back(static_cast<TokenId>(id));
  }
}

bool TokenCorpus::trained(std::uint64_t document, std::uint64_t token) const {
  if (mask_.empty()) return true;
  const std::uint64_t place = start(document) + token;
  return (std::to_integer<unsigned>(mask_[place / 8]) >> (place % 8) & 1U) != 0;
}

std::vector<std::string> TokenCorpus::changed_sources() const {
  std::vector<std::string> changes;
  for (const CorpusSource& source : sources_) {
    std::error_code error;
    const std::uint64_t bytes = fs::file_size(source.path, error);
    if (error) {
      changes.push_back(fmt::format("{}: gone since the corpus was made", source.path));
    } else if (bytes != source.bytes) {
      changes.push_back(fmt::format("{}: {} bytes, was {} when the corpus was made", source.path, bytes, source.bytes));
    } else if (describe_source(source.path).checksum != source.checksum) {
      changes.push_back(fmt::format("{}: changed since the corpus was made", source.path));
    }
  }
  return changes;
}

}  // namespace kinglet
