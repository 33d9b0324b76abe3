#include "kinglet/models/decoder/text_generation.h"

#include <algorithm>
#include <chrono>

#include "kinglet/base/clock.h"
#include "kinglet/text/continued_text.h"
#include "kinglet/text/stop_strings.h"

namespace kinglet {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

TextGeneration generate_text(Decoder& decoder, const Tokenizer& tokenizer, const std::vector<TokenId>& prompt,
                             const GenerationOptions& options, const std::vector<std::string>& stop,
                             const std::function<void(std::string_view)>& on_text) {
  TextGeneration result;
  StopStrings stop_strings(stop);
  ContinuedText continued(tokenizer, prompt);
  const auto show = [&](const std::string& text) {
    result.text += text;
    if (on_text && !text.empty()) on_text(text);
  };
  const Clock::time_point start = Clock::now();
  Clock::time_point first = start;
  const auto on_token = [&](const GeneratedToken& token) {
    if (token.position == 0) first = Clock::now();
    const bool is_end = std::find(options.eos.begin(), options.eos.end(), token.token) != options.eos.end();
    // Models may have more embeddings than the vocabulary has tokens.
    const bool is_text = token.token < tokenizer.vocabulary_size();
    if (!is_end && is_text) show(stop_strings.push(continued.push(token.token)));
    return !stop_strings.found();
  };
  result.generation = std::move(generate(decoder, {prompt}, options, on_token).at(0));
  const Clock::time_point end = Clock::now();
  show(stop_strings.push(continued.finish()));
  show(stop_strings.finish());
  if (stop_strings.found()) result.generation.finish = GenerationEnd::kStopped;
  const bool any = !result.generation.tokens.empty();
  result.prompt_seconds = seconds_between(start, any ? first : end);
  result.token_seconds = any ? seconds_between(first, end) : 0.0;
  return result;
}

}  // namespace kinglet
