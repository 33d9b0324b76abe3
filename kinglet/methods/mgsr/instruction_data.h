// Instruction data of a distillation: prompts with responses, in batches that are a pure function of their number.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kinglet/methods/mgsr/example.h"
#include "kinglet/text/chat_template.h"

namespace kinglet::mgsr {

struct ReadingSettings {
  std::int64_t longest_prompt = 256;  // tokens; examples with a longer one are left out
  std::int64_t longest = 512;         // prompt and response; a longer response loses its end, and its EOS
  std::string spans_field;            // not empty: "spans" of each record, see below
};

struct ReadingReport {
  std::int64_t examples = 0;
  std::int64_t long_prompts = 0;     // left out
  std::int64_t empty_responses = 0;  // left out: no token at all
  std::int64_t cut_responses = 0;    // kept without their end
};

// Reads conversations (documents.h: alpaca, sharegpt, messages). The last reply is the response, all before it the
// prompt. With spans_field, every record has under that name a list of [begin, end) in characters of the response's
// text. Raises Error (bad input) with file and line for what is no conversation, has no reply, or whose spans are not
// in order within the text; and when no example is left.
std::vector<Example> read_examples(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                   const ChatTemplate* chat, const ReadingSettings& settings, ReadingReport& report);

class InstructionData : public LanguageData {
 public:
  // Raises Error (bad input) for no examples.
  InstructionData(std::vector<Example> examples, std::int64_t batch, TokenId padding, std::uint64_t seed);

  LanguageBatch batch(std::int64_t number) const override;
  std::string fingerprint() const override { return fingerprint_; }

  // The examples of a batch; every epoch goes through all of them in an order of its own.
  std::vector<Example> examples(std::int64_t number) const;
  const std::vector<Example>& all() const { return examples_; }
  std::int64_t batch_size() const { return batch_; }
  TokenId padding() const { return padding_; }

 private:
  std::vector<Example> examples_;
  std::int64_t batch_;
  TokenId padding_;
  std::uint64_t seed_;
  std::string fingerprint_;
};

}  // namespace kinglet::mgsr
