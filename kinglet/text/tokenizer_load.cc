// Which kind of file a path is, and the tokenizer of that kind.
#include <filesystem>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/text/gguf_tokenizer.h"
#include "kinglet/text/sentencepiece_tokenizer.h"
#include "kinglet/text/tokenizer.h"
#include "kinglet/text/tokenizer_config.h"
#include "kinglet/text/tokenizer_json.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLargestTokenizer = std::uint64_t{1} << 30;

bool is_gguf(const fs::path& path) {
  const MappedFile file(path);
  return as_text(file.bytes()).starts_with("GGUF");
}

// JSON begins with a brace, and a SentencePiece model (a protocol buffer) never does.
std::unique_ptr<Tokenizer> load_file(const fs::path& path) {
  if (is_gguf(path)) {
    const GgufFile file(path);
    return make_gguf_tokenizer(file.content());
  }
  const Bytes bytes = read_file(path, kLargestTokenizer);
  const std::string_view text = as_text(bytes);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) throw bad_input(path.string(), "the file is empty");
  const TokenizerConfig config = read_tokenizer_config(path.parent_path());
  if (text[first] == '{') return parse_tokenizer_json(text, path.string(), config);
  return parse_sentencepiece(text, path.string(), config);
}

fs::path file_of_folder(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(folder / name)) return folder / name;
  }
  throw bad_input(folder.string(), "the folder has neither tokenizer.json nor tokenizer.model",
                  "copy the tokenizer's files into it");
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::load(const fs::path& path) {
  return load_file(fs::is_directory(path) ? file_of_folder(path) : path);
}

}  // namespace kinglet
