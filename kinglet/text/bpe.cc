#include "kinglet/text/bpe.h"

#include <algorithm>
#include <queue>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/byte_level.h"
#include "kinglet/text/sentencepiece_space.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

constexpr std::size_t kShortWord = 40;  // symbols; up to here scanning all pairs beats a queue
constexpr std::uint32_t kNoRank = ~std::uint32_t{0};
std::string byte_token(unsigned byte) { return fmt::format("<0x{:02X}>", byte); }

MergeTable resolve_merges(const Vocabulary& vocabulary, const Bpe::Merges& merges, const BpeOptions& options,
                          std::string_view where) {
  const auto id_of = [&](const std::string& text) {
    if (const auto id = vocabulary.find(text)) return *id;
    throw bad_input(where, fmt::format("a merge names the token '{}', which is not in the vocabulary", text));
  };
  MergeTable table(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const std::size_t prefix = options.continuing_prefix.size();
    if (right.size() < prefix) throw bad_input(where, fmt::format("a merge has the part '{}' without prefix", right));
    const TokenId left_id = id_of(left);
    const TokenId right_id = id_of(right);
    table.set(left_id, right_id, {static_cast<std::uint32_t>(rank), id_of(left + right.substr(prefix))});
  }
  return table;
}

}  // namespace

MergeTable::MergeTable(std::size_t merges) {
  std::size_t slots = 16;
  while (slots < merges * 2) slots *= 2;
  mask_ = slots - 1;
  slots_.resize(slots);
}

void MergeTable::set(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t key = key_of(left, right);
  std::size_t at = place_of(key);
  while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & mask_;
  slots_[at] = {key, merge};
}

Bpe::Bpe(Vocabulary vocabulary, const Merges& merges, BpeOptions options, std::string_view where)
    : vocabulary_(std::move(vocabulary)),
      merges_(resolve_merges(vocabulary_, merges, options, where)),
      options_(std::move(options)) {
  prepare(where);
}

Bpe::Bpe(Vocabulary vocabulary, MergeTable merges, BpeOptions options, std::string_view where)
    : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)), options_(std::move(options)) {
  prepare(where);
}

void Bpe::prepare(std::string_view where) {
  if (options_.unknown) {
    unknown_ = vocabulary_.find(*options_.unknown);
    if (!unknown_) {
      throw bad_input(where, fmt::format("unk_token '{}' is not in the vocabulary", *options_.unknown));
    }
  }
  for (unsigned byte = 0; byte < 256; ++byte) fallback_[byte] = vocabulary_.find(byte_token(byte)).value_or(-1);
  if (options_.raw_bytes)
    prepare_raw_bytes();
  else
    prepare_splits();
}

void Bpe::prepare_raw_bytes() {
  for (unsigned byte = 0; byte < 256; ++byte) {
    byte_symbols_[byte] = vocabulary_.find(byte_level_characters()[byte]).value_or(-1);
  }
  if (!options_.ignore_merges) return;
  raw_words_.emplace(static_cast<std::size_t>(vocabulary_.size()), "vocabulary");
  for (const std::string& text : vocabulary_.all()) {
    if (auto bytes = from_byte_level(text)) raw_words_->add(std::move(*bytes), *vocabulary_.find(text));
  }
}

// Where no entry has U+2581 behind a certain character, no merge joins the two: a text without other splits (Llama 2,
// Gemma) falls into words there, which is faster and gives the same ids.
void Bpe::prepare_splits() {
  splits_ = options_.continuing_prefix.empty() && options_.end_suffix.empty() && !options_.ignore_merges &&
            vocabulary_.find(kSentencePieceSpace).has_value();
  if (!splits_) return;
  std::set<char32_t> before;
  for (const std::string& text : vocabulary_.all()) {
    char32_t previous = 0;
    utf8::for_each_character(text, [&](char32_t code, std::size_t begin, std::size_t) {
      if (code == 0x2581 && begin > 0) before.insert(previous);
      previous = code;
    });
  }
  before_space_.assign(before.begin(), before.end());
}

// Bytes of `piece` up to the first place where it may be cut.
std::size_t Bpe::first_part(std::string_view piece) const {
  for (std::size_t at = piece.find(kSentencePieceSpace, 1); at != std::string_view::npos;
       at = piece.find(kSentencePieceSpace, at + 1)) {
    std::size_t previous = at - 1;
    while (previous > 0 && (static_cast<unsigned char>(piece[previous]) & 0xC0) == 0x80) --previous;
    const char32_t code = utf8::first_character(piece.substr(previous)).code;
    if (!std::binary_search(before_space_.begin(), before_space_.end(), code)) return at;
  }
  return piece.size();
}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  if (!splits_) return encode_part(piece, ids);
  while (!piece.empty()) {
    const std::size_t length = first_part(piece);
    encode_part(piece.substr(0, length), ids);
    piece.remove_prefix(length);
  }
}

void Bpe::encode_part(std::string_view part, std::vector<TokenId>& ids) const {
  if (!WordCache::takes(part)) return encode_uncached(part, ids);
  if (cache_.find(part, ids)) return;
  const std::size_t from = ids.size();
  encode_uncached(part, ids);
  cache_.store(part, ids, from);
}

void Bpe::encode_uncached(std::string_view part, std::vector<TokenId>& ids) const {
  if (options_.ignore_merges) {
    const Vocabulary& words = raw_words_ ? *raw_words_ : vocabulary_;
    if (const auto id = words.find(part)) {
      ids.push_back(*id);
      return;
    }
  }
  thread_local std::vector<TokenId> symbols;
  symbols.clear();
  if (options_.raw_bytes)
    start_raw(part, symbols);
  else
    start_characters(part, symbols);
  if (symbols.size() <= kShortWord)
    merge_short(symbols);
  else
    merge_long(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

bool Bpe::fall_back(std::string_view text, std::vector<TokenId>& symbols) const {
  if (!options_.byte_fallback) return false;
  const auto entry = [&](char byte) { return fallback_[static_cast<unsigned char>(byte)]; };
  if (!std::all_of(text.begin(), text.end(), [&](char byte) { return entry(byte) >= 0; })) return false;
  for (const char byte : text) symbols.push_back(entry(byte));
  return true;
}

// An unknown token is held back until the next known one, so that several can become one; bytes of the fall-back pass
// it, as in the software that defines the format.
void Bpe::start_raw(std::string_view part, std::vector<TokenId>& symbols) const {
  bool pending = false;
  for (const char byte : part) {
    const auto value = static_cast<unsigned char>(byte);
    if (byte_symbols_[value] >= 0) {
      if (pending) symbols.push_back(*unknown_);
      pending = false;
      symbols.push_back(byte_symbols_[value]);
    } else if (!fall_back(byte_level_characters()[value], symbols) && unknown_) {
      if (pending && !options_.fuse_unknown) symbols.push_back(*unknown_);
      pending = true;
    }
  }
  if (pending) symbols.push_back(*unknown_);
}

void Bpe::start_characters(std::string_view part, std::vector<TokenId>& symbols) const {
  bool pending = false;
  std::string decorated;
  for (std::size_t at = 0; at < part.size();) {
    const std::size_t length = utf8::length_of(part[at]);
    std::string_view text = part.substr(at, length);
    const bool first = at == 0;
    at += length;
    const bool last = at >= part.size();
    if ((!first && !options_.continuing_prefix.empty()) || (last && !options_.end_suffix.empty())) {
      decorated = first ? "" : options_.continuing_prefix;
      decorated += text;
      if (last) decorated += options_.end_suffix;
      text = decorated;
    }
    if (const auto id = vocabulary_.find(text)) {
      if (pending) symbols.push_back(*unknown_);
      pending = false;
      symbols.push_back(*id);
    } else if (!fall_back(text, symbols) && unknown_) {
      if (pending && !options_.fuse_unknown) symbols.push_back(*unknown_);
      pending = true;
    }
  }
  if (pending) symbols.push_back(*unknown_);
}

void Bpe::merge_short(std::vector<TokenId>& symbols) const {
  std::size_t count = symbols.size();
  if (count < 2) return;
  std::array<MergeTable::Merge, kShortWord> pairs;  // pairs[i]: symbols i and i + 1
  const auto look_up = [&](std::size_t i) {
    const MergeTable::Merge* merge = merges_.find(symbols[i], symbols[i + 1]);
    pairs[i] = merge != nullptr ? *merge : MergeTable::Merge{kNoRank, 0};
  };
  for (std::size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNoRank) break;
    symbols[best] = pairs[best].result;
    for (std::size_t i = best + 1; i + 1 < count; ++i) {
      symbols[i] = symbols[i + 1];
      pairs[i - 1] = pairs[i];
    }
    --count;
    if (best + 1 < count) look_up(best);
    if (best > 0) look_up(best - 1);
  }
  symbols.resize(count);
}

void Bpe::merge_long(std::vector<TokenId>& symbols) const {
  constexpr std::uint32_t kEnd = ~std::uint32_t{0};
  struct Link {
    std::uint32_t previous;
    std::uint32_t next;
  };
  if (symbols.size() >= kEnd) throw bad_input("text", "longer than 4 GiB", "cut it into parts");
  const auto count = static_cast<std::uint32_t>(symbols.size());
  std::vector<Link> links(count);
  for (std::uint32_t i = 0; i < count; ++i) links[i] = {i == 0 ? kEnd : i - 1, i + 1 == count ? kEnd : i + 1};
  // A rank above a place; stale entries are noticed when they come up.
  std::vector<std::uint64_t> storage;
  storage.reserve(count);
  std::priority_queue queue(std::greater<std::uint64_t>(), std::move(storage));
  const auto push = [&](std::uint32_t at) {
    if (at == kEnd || links[at].next == kEnd) return;
    const MergeTable::Merge* merge = merges_.find(symbols[at], symbols[links[at].next]);
    if (merge != nullptr) queue.push(std::uint64_t{merge->rank} << 32 | at);
  };
  for (std::uint32_t i = 0; i < count; ++i) push(i);
  while (!queue.empty()) {
    const std::uint64_t top = queue.top();
    queue.pop();
    const auto at = static_cast<std::uint32_t>(top);
    const std::uint32_t right = links[at].next;
    if (symbols[at] < 0 || right == kEnd) continue;
    const MergeTable::Merge* merge = merges_.find(symbols[at], symbols[right]);
    if (merge == nullptr || merge->rank != top >> 32) continue;
    symbols[at] = merge->result;
    symbols[right] = -1;
    links[at].next = links[right].next;
    if (links[at].next != kEnd) links[links[at].next].previous = at;
    push(at);
    push(links[at].previous);
  }
  std::erase(symbols, -1);
}

}  // namespace kinglet
