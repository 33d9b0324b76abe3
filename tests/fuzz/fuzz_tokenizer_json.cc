// A tokenizer.json, then a zero byte and a text: ids lie in the vocabulary, and neither encoding nor decoding grows
// beyond what the text and the file allow.
#include <algorithm>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/text/tokenizer_json.h"
#include "kinglet/text/utf8.h"

namespace kinglet::fuzz {
namespace {

constexpr std::string_view kText = " Hello  w\xC3\xB6rld\n\xF0\x9F\x98\x80 a\xCC\x81 12 <s>\xFF ab\xE2\x96\x81";
constexpr std::size_t kLongestText = 256;

void check_text(const Tokenizer& tokenizer, std::string_view text, std::size_t file_bytes) {
  std::vector<TokenId> ids;
  if (!accepted([&] { ids = tokenizer.encode(text); })) return;
  for (const TokenId id : ids) require(id >= 0 && id < tokenizer.vocabulary_size(), "ids lie in the vocabulary");
  // A replacement may put up to the whole file in the place of each byte; each byte is at most six tokens.
  require(ids.size() <= 6 * (text.size() + 1) * (file_bytes + 64), "there are not many more ids than bytes");
  const std::string decoded = tokenizer.decode(ids, false);
  require(utf8::is_valid(decoded), "decoded text is UTF-8");
  StreamDecoder stream(tokenizer, false);
  std::string joined;
  for (const TokenId id : ids) {
    const std::string part = stream.push(id);
    require(utf8::is_valid(part), "a stream gives whole characters");
    joined += part;
  }
  require(joined + stream.finish() == decoded, "a stream gives the decoded text");
}

void check_tokenizer_json(ByteView input) {
  const std::string_view all = as_text(input);
  const std::size_t end = std::min(all.find('\0'), all.size());
  const std::string_view text = all.substr(std::min(end + 1, all.size())).substr(0, kLongestText);
  std::unique_ptr<Tokenizer> tokenizer;
  if (!accepted([&] { tokenizer = parse_tokenizer_json(all.substr(0, end), "input"); })) return;
  require(tokenizer->vocabulary_size() <= (1 << 24), "the vocabulary has a limit");
  check_text(*tokenizer, text, end);
  check_text(*tokenizer, kText, end);
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(tokenizer_json, kinglet::fuzz::check_tokenizer_json)
