#include "kinglet/text/documents.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/text/document_records.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet {
namespace {

constexpr std::array<std::pair<DocumentFormat, std::string_view>, 6> kNames = {
    {{DocumentFormat::kDetect, "auto"},
     {DocumentFormat::kText, "text"},
     {DocumentFormat::kJsonText, "jsonl"},
     {DocumentFormat::kAlpaca, "alpaca"},
     {DocumentFormat::kShareGpt, "sharegpt"},
     {DocumentFormat::kMessages, "messages"}}};

bool is_blank_line(std::string_view line) { return line.find_first_not_of(" \t\r\n") == std::string_view::npos; }

}  // namespace

std::string_view format_name(DocumentFormat format) { return kNames[static_cast<std::size_t>(format)].second; }

std::optional<DocumentFormat> format_of_name(std::string_view name) {
  const auto found = std::find_if(kNames.begin(), kNames.end(), [&](const auto& one) { return one.second == name; });
  if (found == kNames.end()) return std::nullopt;
  return found->first;
}

class DocumentReader::State {
 public:
  State(MappedFile file, std::string name, const ReaderOptions& options)
      : file_(std::move(file)), bytes_(as_text(file_.bytes())), name_(std::move(name)), options_(options) {
    file_.advise_sequential();
    start();
  }
  State(std::string_view bytes, std::string name, const ReaderOptions& options)
      : bytes_(bytes), name_(std::move(name)), options_(options) {
    start();
  }

  std::optional<Document> next() {
    std::optional<Document> result = format_ == DocumentFormat::kText ? next_text() : next_record();
    release();
    return result;
  }

  DocumentFormat format() const { return format_; }
  std::uint64_t size() const { return bytes_.size(); }
  std::uint64_t position() const { return at_; }

 private:
  void start() {
    if (bytes_.starts_with("\xEF\xBB\xBF")) at_ = 3;  // a byte order mark
    format_ = options_.format == DocumentFormat::kDetect ? detect() : options_.format;
  }

  std::string place(std::uint64_t line) const { return fmt::format("{}, line {}", name_, line); }

  // The next line, without its end; moves on.
  std::string_view take_line() {
    const std::size_t end = bytes_.find('\n', at_);
    const std::string_view line = bytes_.substr(at_, end - at_);
    ++line_;
    check_length(line.size(), line_);
    at_ = end == std::string_view::npos ? bytes_.size() : end + 1;
    return line;
  }
  void check_length(std::uint64_t length, std::uint64_t line) const {
    if (length <= options_.longest_line) return;
    throw bad_input(place(line), fmt::format("a record of {} bytes; the limit is {}", length, options_.longest_line),
                    "split it into smaller documents");
  }

  DocumentFormat detect() {
    const std::size_t begin = at_;
    DocumentFormat found = DocumentFormat::kText;
    while (at_ < bytes_.size()) {
      const std::string_view line = take_line();
      if (is_blank_line(line)) continue;
      found = detect_format(line, place(line_));
      break;
    }
    at_ = begin;
    line_ = 0;
    return found;
  }

  std::optional<Document> next_record() {
    while (at_ < bytes_.size()) {
      const std::string_view line = take_line();
      if (is_blank_line(line)) continue;
      Document document = parse_record(line, format_, place(line_));
      document.line = line_;
      return document;
    }
    return std::nullopt;
  }

  std::optional<Document> next_text() {
    while (at_ < bytes_.size()) {
      const std::uint64_t first_line = line_ + 1;
      std::string_view text = options_.text_unit == TextUnit::kFile        ? take_rest()
                              : options_.text_unit == TextUnit::kParagraph ? take_paragraph()
                                                                           : take_line();
      if (is_blank_line(text)) continue;
      check_utf8(text, first_line);
      Document document;
      document.line = first_line;
      if (options_.text_unit != TextUnit::kFile) text = text.substr(0, text.find_last_not_of("\r\n") + 1);
      document.text = std::string(text);
      return document;
    }
    return std::nullopt;
  }
  std::string_view take_rest() {
    const std::string_view rest = bytes_.substr(at_);
    check_length(rest.size(), line_ + 1);
    at_ = bytes_.size();
    return rest;
  }
  // Lines up to a blank one.
  std::string_view take_paragraph() {
    const std::size_t begin = at_;
    std::size_t end = begin;
    const std::uint64_t first_line = line_ + 1;
    while (at_ < bytes_.size()) {
      const std::string_view line = take_line();
      if (is_blank_line(line)) break;
      end = at_;
      check_length(end - begin, first_line);
    }
    return bytes_.substr(begin, end - begin);
  }
  void check_utf8(std::string_view text, std::uint64_t line) const {
    const std::size_t valid = jinja::valid_utf8_prefix(text);
    if (valid == text.size()) return;
    line +=
        static_cast<std::uint64_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(valid), '\n'));
    throw bad_input(place(line), "not valid UTF-8", "convert the file: iconv -f latin1 -t utf8");
  }

  // What was read need not stay in memory.
  void release() {
    constexpr std::size_t kChunk = 32 << 20;
    if (file_.bytes().empty() || at_ - released_ < kChunk) return;
    file_.release(released_, at_ - released_);
    released_ = at_;
  }

  MappedFile file_;
  std::string_view bytes_;
  std::string name_;
  ReaderOptions options_;
  DocumentFormat format_ = DocumentFormat::kText;
  std::size_t at_ = 0, released_ = 0;
  std::uint64_t line_ = 0;  // lines read
};

DocumentReader::DocumentReader(const std::filesystem::path& path, const ReaderOptions& options)
    : state_(std::make_unique<State>(MappedFile(path), path.string(), options)) {}
DocumentReader::DocumentReader(std::string_view bytes, std::string name, const ReaderOptions& options)
    : state_(std::make_unique<State>(bytes, std::move(name), options)) {}
DocumentReader::~DocumentReader() = default;
DocumentReader::DocumentReader(DocumentReader&&) noexcept = default;
DocumentReader& DocumentReader::operator=(DocumentReader&&) noexcept = default;

std::optional<Document> DocumentReader::next() { return state_->next(); }
DocumentFormat DocumentReader::format() const { return state_->format(); }
std::uint64_t DocumentReader::size() const { return state_->size(); }
std::uint64_t DocumentReader::position() const { return state_->position(); }

}  // namespace kinglet
