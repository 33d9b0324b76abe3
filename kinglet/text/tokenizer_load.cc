// Which kind of file a path is, and the tokenizer of that kind.
#include <filesystem>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/text/tokenizer.h"
#include "kinglet/text/tokenizer_config.h"
#include "kinglet/text/tokenizer_json.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 30;

std::unique_ptr<Tokenizer> load_json(const fs::path& path) {
  const Bytes bytes = read_file(path, kLargestFile);
  return parse_tokenizer_json(as_text(bytes), path.string(), read_tokenizer_config(path.parent_path()));
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
  const fs::path file = fs::is_directory(path) ? file_of_folder(path) : path;
  return load_json(file);
}

}  // namespace kinglet
