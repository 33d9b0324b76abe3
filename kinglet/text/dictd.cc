#include "kinglet/text/dictd.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <zlib.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxText = std::size_t{1} << 30;

fs::path with_suffix(fs::path base, const char* suffix) { return base += suffix; }

// gzread passes plain files through.
std::string read_packed(const fs::path& path) {
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> file(gzopen(path.c_str(), "rb"), &gzclose);
  if (!file) throw failed(path.string(), "cannot open");
  std::string text;
  constexpr std::size_t kChunk = 1 << 20;
  for (;;) {
    const std::size_t size = text.size();
    if (size > kMaxText) throw bad_input(path.string(), "larger than 1 GiB when decompressed");
    text.resize(size + kChunk);
    const int got = gzread(file.get(), text.data() + size, kChunk);
    if (got < 0) throw bad_input(path.string(), "damaged gzip data", "install the package again");
    text.resize(size + static_cast<std::size_t>(got));
    if (got == 0) return text;
  }
}

std::optional<std::uint64_t> base64_number(std::string_view digits) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (digits.empty() || digits.size() > 8) return std::nullopt;
  std::uint64_t value = 0;
  for (const char digit : digits) {
    const std::size_t place = kDigits.find(digit);
    if (place == std::string_view::npos) return std::nullopt;
    value = value * 64 + place;
  }
  return value;
}

}  // namespace

DictdFile DictdFile::open(const fs::path& base) {
  const fs::path index_path = with_suffix(base, ".index");
  const fs::path packed = with_suffix(base, ".dict.dz"), plain = with_suffix(base, ".dict");
  DictdFile result;
  result.text_ = read_packed(fs::exists(packed) ? packed : plain);
  const Bytes index = read_file(index_path, kMaxText);
  std::string_view rest = as_text(index);
  for (std::uint64_t line = 1; !rest.empty(); ++line) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view entry = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t first = entry.find('\t'), second = entry.find('\t', first + 1);
    if (entry.starts_with("00-database") || entry.starts_with("00database")) continue;
    std::optional<std::uint64_t> offset, length;
    if (first != std::string_view::npos && second != std::string_view::npos) {
      offset = base64_number(entry.substr(first + 1, second - first - 1));
      length = base64_number(entry.substr(second + 1).substr(0, entry.find('\t', second + 1) - second - 1));
    }
    const std::uint64_t size = result.text_.size();
    if (!offset || !length || *offset > size || *length > size - *offset) {
      throw bad_input(fmt::format("{}, line {}", index_path.string(), line), "no place inside of the dictionary");
    }
    result.places_.emplace_back(*offset, *length);
  }
  std::sort(result.places_.begin(), result.places_.end());
  result.places_.erase(std::unique(result.places_.begin(), result.places_.end()), result.places_.end());
  return result;
}

}  // namespace kinglet
