#include "kinglet/text/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/text/byte_level.h"
#include "kinglet/text/merge_learning.h"
#include "kinglet/text/pre_tokenizer.h"
#include "kinglet/text/utf8.h"
#include "kinglet/text/vocabulary.h"

namespace kinglet {
namespace {

using Json = nlohmann::ordered_json;

// Bytes in the order of the characters that stand for them, which is the order of their ids.
std::array<unsigned, 256> bytes_in_order() {
  std::array<unsigned, 256> bytes;
  std::iota(bytes.begin(), bytes.end(), 0U);
  const auto code = [](unsigned byte) { return utf8::first_character(byte_level_characters()[byte]).code; };
  std::sort(bytes.begin(), bytes.end(), [&](unsigned a, unsigned b) { return code(a) < code(b); });
  return bytes;
}

Json added_tokens(const std::vector<std::string>& special) {
  Json list = Json::array();
  for (std::size_t id = 0; id < special.size(); ++id) {
    list.push_back({{"id", id},
                    {"content", special[id]},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", true}});
  }
  return list;
}

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json pre_tokenizer(const std::string& pattern) {
  if (pattern.empty()) return byte_level(true);
  const Json split = {
      {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", {split, byte_level(false)}}};
}

Json model_of(const LearnedMerges& learned) {
  Json vocabulary = Json::object();
  for (std::size_t id = 0; id < learned.tokens.size(); ++id) {
    // Not operator[]: it would look for the key among all that are there.
    vocabulary.get_ref<Json::object_t&>().emplace_back(learned.tokens[id], id);
  }
  Json merges = Json::array();
  for (const auto& [left, right] : learned.merges) {
    merges.push_back(Json::array({learned.tokens[left], learned.tokens[right]}));
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(merges)}};
}

void check_options(const BpeTrainingOptions& options) {
  const auto least = static_cast<std::int64_t>(options.special_tokens.size()) + 256;
  if (options.vocabulary_size < least || options.vocabulary_size > Vocabulary::kMostIds) {
    throw bad_input("vocabulary size", fmt::format("{} is not from {} (special tokens and bytes) to {}",
                                                   options.vocabulary_size, least, Vocabulary::kMostIds));
  }
  std::unordered_set<std::string_view> seen;
  for (const std::string& token : options.special_tokens) {
    if (token.empty() || !utf8::is_valid(token)) throw bad_input("special tokens", "one is empty or no UTF-8");
    if (!seen.insert(token).second) throw bad_input("special tokens", fmt::format("'{}' is there twice", token));
    if (utf8::count_characters(token) == 1) {
      throw bad_input("special tokens", fmt::format("'{}' is a single character", token), "choose a longer text");
    }
  }
}

}  // namespace

struct BpeTrainer::Splitter {
  std::unique_ptr<PreTokenizer> step;
};

BpeTrainer::BpeTrainer(BpeTrainingOptions options)
    : options_(std::move(options)), splitter_(std::make_unique<Splitter>()) {
  check_options(options_);
  if (options_.pattern.empty()) {
    splitter_->step = make_byte_level(false, true);
    splitter_->step->leave_bytes();
  } else {
    splitter_->step = make_regex_split(options_.pattern, "pattern");
  }
}

BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::feed(std::string_view text) {
  const std::string repaired = utf8::is_valid(text) ? std::string() : utf8::replace_invalid(text);
  TextArena arena;
  std::vector<TextSlice> pieces{{repaired.empty() ? text : repaired, true}};
  splitter_->step->apply(pieces, arena);
  for (const TextSlice& piece : pieces) ++words_[std::string(piece.text)];
}

std::string BpeTrainer::train() const {
  if (words_.empty()) throw bad_input("training", "there is no text", "give at least one text that is not empty");
  std::vector<std::string> tokens = options_.special_tokens;
  std::array<std::uint32_t, 256> ids{};
  for (const unsigned byte : bytes_in_order()) {
    ids[byte] = static_cast<std::uint32_t>(tokens.size());
    tokens.push_back(byte_level_characters()[byte]);
  }
  std::vector<CountedWord> words;
  words.reserve(words_.size());
  for (const auto& [text, count] : words_) {
    CountedWord& word = words.emplace_back();
    word.count = count;
    for (const char byte : text) word.symbols.push_back(ids[static_cast<unsigned char>(byte)]);
  }
  const LearnedMerges learned =
      learn_merges(std::move(words), std::move(tokens), static_cast<std::size_t>(options_.vocabulary_size),
                   options_.minimum_frequency);
  const Json file = {{"version", "1.0"},          {"truncation", nullptr},
                     {"padding", nullptr},        {"added_tokens", added_tokens(options_.special_tokens)},
                     {"normalizer", nullptr},     {"pre_tokenizer", pre_tokenizer(options_.pattern)},
                     {"post_processor", nullptr}, {"decoder", byte_level(true)},
                     {"model", model_of(learned)}};
  return file.dump(2) + "\n";
}

void BpeTrainer::write(const std::filesystem::path& path) const { write_file_atomically(path, as_bytes(train())); }

}  // namespace kinglet
