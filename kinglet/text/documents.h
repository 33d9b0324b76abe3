// Training data as people have it: plain text, JSON lines with texts, and instruction data in its three common shapes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kinglet/text/json_text.h"

namespace kinglet {

enum class DocumentFormat {
  kDetect,    // from the first record
  kText,      // UTF-8 text
  kJsonText,  // {"text": "..."} a line
  kAlpaca,    // {"instruction", "input" (may be missing), "output"} a line; "system" too
  kShareGpt,  // {"conversations": [{"from": "human", "value": "..."}, ...]} a line; "system" too
  kMessages,  // {"messages": [{"role": "user", "content": "..."}, ...]} a line; "tools" too
};
std::string_view format_name(DocumentFormat format);                  // "text", "jsonl", "alpaca" ...
std::optional<DocumentFormat> format_of_name(std::string_view name);  // also "auto"

// One record of any format: a plain text or a conversation.
struct Document {
  std::string text;
  Json messages;           // a conversation: a list of {"role", "content", ...}; null for a plain text
  Json tools;              // a list of function schemas; null when there are none
  std::uint64_t line = 0;  // where it starts in its file, from 1

  bool is_conversation() const { return !messages.is_null(); }
};

enum class TextUnit { kFile, kParagraph, kLine };  // what a document of a plain text is

struct ReaderOptions {
  DocumentFormat format = DocumentFormat::kDetect;
  TextUnit text_unit = TextUnit::kFile;
  std::uint64_t longest_line = std::uint64_t{64} << 20;  // bytes; of a whole text too
};

// Reads a file record by record; blank lines are passed over. The file is mapped, so memory is bounded by one record.
// Raises Error (bad input) that names the file, the line and the field for whatever does not fit the format.
class DocumentReader {
 public:
  explicit DocumentReader(const std::filesystem::path& path, const ReaderOptions& options = {});
  // Of bytes that the caller keeps; `name` is for messages.
  DocumentReader(std::string_view bytes, std::string name, const ReaderOptions& options = {});
  ~DocumentReader();
  DocumentReader(DocumentReader&&) noexcept;
  DocumentReader& operator=(DocumentReader&&) noexcept;

  std::optional<Document> next();

  DocumentFormat format() const;   // never kDetect
  std::uint64_t size() const;      // bytes of the file
  std::uint64_t position() const;  // bytes read

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace kinglet
