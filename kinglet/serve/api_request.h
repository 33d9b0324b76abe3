// What a client asks for: the bodies of /v1/chat/completions and /v1/completions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kinglet/models/decoder/token_choice.h"
#include "kinglet/text/json_text.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {

using Prompt = std::variant<std::string, std::vector<TokenId>>;

// Fields of both kinds.
struct GenerationRequest {
  std::string model;  // empty: whichever is served
  std::optional<std::int64_t> max_tokens;
  TokenChoice choice;
  bool has_seed = false, has_temperature = false, has_top_p = false;
  std::int64_t n = 1;
  std::vector<std::string> stop;
  bool stream = false;
  bool include_usage = false;
  // Of every token, and of this many most likely ones; -1: none.
  std::int64_t top_log_probabilities = -1;
};

struct ChatCompletionRequest : GenerationRequest {
  Json messages;                            // {"role", "content"} and perhaps "name"; contents are texts
  Json template_values = Json::object();    // chat_template_kwargs: more variables of the template
  std::optional<nlohmann::json> reasoning;  // the field of this name: an object; reasoning_request.h reads it
};

struct TextCompletionRequest : GenerationRequest {
  std::vector<Prompt> prompts;  // at least one
  bool echo = false;
};

inline constexpr std::int64_t kMostChoices = 128;
inline constexpr std::int64_t kMostTopLogProbabilities = 20;

// Fields that are not known are passed over; those that would change the answer and are not supported are refused when
// they ask for something. Raises ApiError 400: no JSON, nested too deep, a wrong type, a number out of range, ...
ChatCompletionRequest read_chat_request(std::string_view body);
TextCompletionRequest read_text_request(std::string_view body);

}  // namespace kinglet
