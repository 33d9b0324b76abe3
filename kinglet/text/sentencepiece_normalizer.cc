#include "kinglet/text/sentencepiece_normalizer.h"

#include <cstring>

#include "kinglet/base/byte_io.h"
#include "kinglet/base/error.h"
#include "kinglet/text/sentencepiece_space.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

// A unit of a double array (Darts-clone): a label, the distance to the children, whether an entry ends here; or, behind
// such a unit, the value of the entry.
std::uint32_t label_of(std::uint32_t unit) { return unit & (1U << 31 | 0xFFU); }
std::uint32_t offset_of(std::uint32_t unit) { return (unit >> 10) << ((unit & 1U << 9) >> 6); }
bool has_entry(std::uint32_t unit) { return (unit >> 8 & 1U) != 0; }
std::uint32_t value_of(std::uint32_t unit) { return unit & ~(1U << 31); }

}  // namespace

SentencePieceNormalizer::SentencePieceNormalizer(const SentencePieceModel& model, std::string_view where)
    : prefix_(model.add_dummy_prefix && !model.spaces_behind_words),
      collapse_(model.remove_extra_whitespaces),
      suffix_(model.add_dummy_prefix && model.spaces_behind_words) {
  if (!model.escape_whitespaces) throw bad_input(where, "models that keep blanks as they are are not supported");
  if (model.character_map.empty()) return;
  ByteReader reader(model.character_map, where);
  const auto bytes = reader.number<std::uint32_t>();
  if (bytes % 4 != 0) reader.fail("the character map is damaged");
  const ByteView trie = reader.take(bytes);
  units_.resize(bytes / 4);
  if (!units_.empty()) std::memcpy(units_.data(), trie.data(), bytes);
  replacements_ = as_text(reader.take(reader.remaining()));
  replacements_ += '\0';
}

std::pair<std::string_view, std::size_t> SentencePieceNormalizer::front(std::string_view text) const {
  std::size_t longest = 0;
  std::uint32_t value = 0;
  std::uint64_t place = units_.empty() ? 0 : offset_of(units_[0]);
  for (std::size_t i = 0; i < text.size() && !units_.empty(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    place ^= byte;
    if (place >= units_.size() || label_of(units_[place]) != byte) break;
    const std::uint32_t unit = units_[place];
    place ^= offset_of(unit);
    if (place >= units_.size()) break;
    if (has_entry(unit)) {
      longest = i + 1;
      value = value_of(units_[place]);
    }
  }
  if (longest > 0 && value < replacements_.size()) return {replacements_.c_str() + value, longest};
  const std::size_t length = std::min(utf8::length_of(text[0]), text.size());
  return {text.substr(0, length), length};
}

std::string SentencePieceNormalizer::operator()(std::string_view text) const {
  const auto take = [&] {
    const auto [replacement, length] = front(text);
    text.remove_prefix(length);
    return replacement;
  };
  if (collapse_) {
    while (!text.empty() && front(text).first == " ") take();
  }
  std::string result;
  if (text.empty()) return result;
  if (prefix_) result += kSentencePieceSpace;
  bool behind_blank = collapse_;
  while (!text.empty()) {
    std::string_view part = take();
    while (behind_blank && part.starts_with(' ')) part.remove_prefix(1);
    if (part.empty()) continue;
    for (const char byte : part) {
      if (byte == ' ') {
        result += kSentencePieceSpace;
      } else {
        result += byte;
      }
    }
    behind_blank = collapse_ && part.ends_with(' ');
  }
  while (collapse_ && result.ends_with(kSentencePieceSpace)) result.resize(result.size() - kSentencePieceSpace.size());
  if (suffix_) result += kSentencePieceSpace;
  return result;
}

}  // namespace kinglet
