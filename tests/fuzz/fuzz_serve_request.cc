// Bodies of /v1/chat/completions and /v1/completions: what is accepted is in range, what is not names a field.
#include <cmath>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/serve/api_error.h"
#include "kinglet/serve/api_request.h"
#include "kinglet/serve/reasoning_request.h"
#include "kinglet/text/utf8.h"

namespace kinglet::fuzz {
namespace {

void check_common(const GenerationRequest& request) {
  const TokenChoice& choice = request.choice;
  require(choice.temperature >= 0 && choice.temperature <= 2, "temperature is in range");
  require(choice.top_p > 0 && choice.top_p <= 1 && choice.min_p >= 0 && choice.min_p <= 1, "shares are in range");
  require(choice.top_k >= 0 && choice.repetition_penalty > 0, "sampling is in range");
  require(request.n >= 1 && request.n <= kMostChoices, "the number of choices is in range");
  require(request.max_tokens.value_or(0) >= 0, "numbers of tokens are not negative");
  require(request.top_log_probabilities >= -1 && request.top_log_probabilities <= kMostTopLogProbabilities,
          "log-probabilities are in range");
  for (const std::string& stop : request.stop) require(!stop.empty() && utf8::is_valid(stop), "stop texts are texts");
  require(!request.include_usage || request.stream, "usage is an option of streams");
}

template <typename Read>
bool readable(const Read& read) {
  try {
    read();
    return true;
  } catch (const ApiError& error) {
    require(error.status() == 400, "what is wrong with a body is the client's fault");
    const nlohmann::json body = nlohmann::json::parse(api_error_body(error));
    require(body["error"]["message"].is_string() && body["error"]["type"] == "invalid_request_error",
            "errors have the protocol's shape");
    return false;
  }
}

// What is read of the field `reasoning` is what a forest can be made of.
void check_reasoning(const ChatCompletionRequest& chat) {
  const ReasoningLimits limits;
  ReasoningRequest request;
  if (!readable([&] { request = read_reasoning(chat, limits, 100); })) return;
  require(request.settings.trees >= 1 && request.settings.trees <= limits.trees, "as many trees as are allowed");
  require(request.settings.most_calls >= 1 && request.settings.most_calls <= limits.calls, "calls are bounded");
  require(request.settings.max_tokens <= 100 && request.settings.expert_max_tokens <= 100, "tokens are bounded");
  require(utf8::is_valid(request.question.text), "the question is valid UTF-8");
  if (request.settings.max_tokens > 0) fot::check(request.settings);  // raises what a forest would refuse
}

void check_serve_request(ByteView input) {
  const std::string_view body = as_text(input);
  ChatCompletionRequest chat;
  if (readable([&] { chat = read_chat_request(body); })) {
    check_common(chat);
    require(chat.messages.is_array() && !chat.messages.empty(), "a conversation has messages");
    for (const Json& message : chat.messages) {
      require(message.at("role").is_string() && message.at("content").is_string(), "messages are texts with a role");
      require(utf8::is_valid(message["content"].get_ref<const std::string&>()), "texts are valid UTF-8");
    }
    check_reasoning(chat);
  }
  TextCompletionRequest text;
  if (readable([&] { text = read_text_request(body); })) {
    check_common(text);
    require(!text.prompts.empty(), "there is a prompt");
    require(static_cast<std::int64_t>(text.prompts.size()) * text.n <= kMostChoices, "choices are in range");
    for (const Prompt& prompt : text.prompts) {
      const auto* tokens = std::get_if<std::vector<TokenId>>(&prompt);
      for (std::size_t i = 0; tokens != nullptr && i < tokens->size(); ++i) {
        require((*tokens)[i] >= 0, "tokens are not negative");
      }
    }
  }
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(serve_request, kinglet::fuzz::check_serve_request)
