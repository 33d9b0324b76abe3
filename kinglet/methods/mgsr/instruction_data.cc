#include "kinglet/methods/mgsr/instruction_data.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/permutation.h"
#include "kinglet/methods/mgsr/spans.h"
#include "kinglet/text/json_text.h"
#include "kinglet/text/training_text.h"
#include "kinglet/text/utf8.h"

namespace kinglet::mgsr {
namespace {

// The lines of a file by their number, for a field that the readers of documents do not know.
class Lines {
 public:
  explicit Lines(const std::filesystem::path& path) : file_(path), rest_(as_text(file_.bytes())) {}
  // The numbers must rise.
  std::string_view line(std::uint64_t number) {
    std::string_view result;
    while (next_ <= number) {
      const std::size_t end = std::min(rest_.find('\n'), rest_.size());
      result = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      ++next_;
    }
    return result;
  }

 private:
  MappedFile file_;
  std::string_view rest_;
  std::uint64_t next_ = 1;
};

// Characters of a text as bytes.
std::vector<std::size_t> character_places(std::string_view text) {
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at < text.size();) {
    places.push_back(at);
    at += utf8::first_character(text.substr(at)).length;
  }
  places.push_back(text.size());
  return places;
}

std::vector<TokenSpan> spans_of_field(std::string_view line, const std::string& field, const Tokenizer& tokenizer,
                                      const std::vector<TokenId>& response, const std::string& where) {
  const Json record = parse_json(line, where);
  const auto found = record.find(field);
  const char* const remedy = "give a list of [begin, end] in characters of the response, in order";
  if (found == record.end() || !found->is_array()) {
    throw bad_input(where, fmt::format("there is no list '{}'", field), remedy);
  }
  const PlacedTokens placed = place_tokens(tokenizer, response);
  const std::vector<std::size_t> places = character_places(placed.text);
  std::vector<TextRange> ranges;
  std::uint64_t last = 0;
  for (const Json& pair : *found) {
    const bool two =
        pair.is_array() && pair.size() == 2 && pair[0].is_number_unsigned() && pair[1].is_number_unsigned();
    if (!two) throw bad_input(where, fmt::format("'{}' holds what is no pair of places", field), remedy);
    const auto begin = pair[0].get<std::uint64_t>(), end = pair[1].get<std::uint64_t>();
    if (begin < last || end < begin) {
      throw bad_input(where, fmt::format("the span [{}, {}] of '{}' is not behind the one before", begin, end, field),
                      remedy);
    }
    last = end;
    if (begin >= places.size()) continue;  // the response lost its end
    ranges.push_back({places[begin], places[std::min<std::uint64_t>(end, places.size() - 1)]});
  }
  return spans_of_ranges(placed, ranges);
}

// The last run of trained tokens and what stands before it.
std::optional<Example> last_reply(const EncodedDocument& document) {
  std::size_t end = document.trained.size();
  while (end > 0 && document.trained[end - 1] == 0) --end;
  std::size_t begin = end;
  while (begin > 0 && document.trained[begin - 1] != 0) --begin;
  if (begin == 0) return std::nullopt;
  const auto at = [&](std::size_t place) { return document.tokens.begin() + static_cast<std::ptrdiff_t>(place); };
  return Example{{document.tokens.begin(), at(begin)}, {at(begin), at(end)}, {}, -1};
}

}  // namespace

std::vector<Example> read_examples(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                   const ChatTemplate* chat, const ReadingSettings& settings, ReadingReport& report) {
  DocumentReader reader(path);
  std::optional<Lines> lines;
  if (!settings.spans_field.empty()) lines.emplace(path);
  std::vector<Example> examples;
  while (std::optional<Document> document = reader.next()) {
    const std::string where = fmt::format("{}, line {}", path.string(), document->line);
    if (!document->is_conversation()) {
      throw bad_input(where, "it is no instruction with a response", "give alpaca, sharegpt or messages records");
    }
    std::optional<Example> example = last_reply(encode_document(*document, tokenizer, chat));
    if (!example) {
      ++report.empty_responses;
      continue;
    }
    if (static_cast<std::int64_t>(example->prompt.size()) > settings.longest_prompt) {
      ++report.long_prompts;
      continue;
    }
    const std::int64_t room = settings.longest - static_cast<std::int64_t>(example->prompt.size());
    if (static_cast<std::int64_t>(example->response.size()) > room) {
      example->response.resize(static_cast<std::size_t>(room));
      ++report.cut_responses;
    }
    if (lines) {
      example->spans =
          spans_of_field(lines->line(document->line), settings.spans_field, tokenizer, example->response, where);
    }
    example->number = static_cast<std::int64_t>(examples.size());
    examples.push_back(std::move(*example));
  }
  report.examples = static_cast<std::int64_t>(examples.size());
  if (examples.empty()) {
    throw bad_input(path.string(),
                    fmt::format("no example is left ({} with a prompt of more than {} tokens, {} without a response)",
                                report.long_prompts, settings.longest_prompt, report.empty_responses),
                    "raise longest_prompt, or give other data");
  }
  return examples;
}

InstructionData::InstructionData(std::vector<Example> examples, std::int64_t batch, TokenId padding, std::uint64_t seed)
    : examples_(std::move(examples)), batch_(batch), padding_(padding), seed_(seed) {
  if (examples_.empty()) throw bad_input("data", "it has no examples", "give other data");
  Xxh3Stream hash;
  for (const Example& example : examples_) {
    for (const auto* part : {&example.prompt, &example.response}) {
      const std::uint64_t length = part->size();
      hash.update(std::as_bytes(std::span(&length, 1)));
      hash.update(std::as_bytes(std::span(*part)));
    }
  }
  fingerprint_ = fmt::format("{:016x} examples {} batch {} seed {}", hash.digest(), examples_.size(), batch_, seed_);
}

std::vector<Example> InstructionData::examples(std::int64_t number) const {
  const auto count = static_cast<std::int64_t>(examples_.size());
  std::vector<Example> result;
  for (std::int64_t i = 0; i < batch_; ++i) {
    const std::int64_t place = number * batch_ + i, epoch = place / count;
    const Permutation order(static_cast<std::uint64_t>(count), seed_ + static_cast<std::uint64_t>(epoch));
    result.push_back(examples_[order(static_cast<std::uint64_t>(place % count))]);
  }
  return result;
}

LanguageBatch InstructionData::batch(std::int64_t number) const { return batch_of(examples(number), padding_); }

}  // namespace kinglet::mgsr
