// What a model is asked: messages and how to answer them. A value type; checking it costs no call.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/text/json_text.h"

namespace kinglet {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant" ...
  std::string content;
};

struct ChatRequest {
  std::vector<ChatMessage> messages;

  // Sampling. What is not set is left to the model.
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::int64_t> max_tokens;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop;
  bool log_probs = false;           // of each token of the reply
  int top_log_probs = 0;            // that many alternatives a token, 0 to 20; needs log_probs
  std::optional<Json> json_schema;  // the reply must follow it, where the model offers that
  Json extra;                       // further fields of the request body (an object or null); they win over the others

  // Which call this is. Two calls with the same content are one call when `slot` and `sample` are equal too: a run that
  // is resumed finds its replies by them. `sample` counts draws of one prompt (it is part of cache keys, `slot` is
  // not).
  std::string slot;
  std::uint32_t sample = 0;

  // How it is carried out; no part of any key.
  std::string role;    // what the call is for ("answer", "judge"); costs are summed by it
  int priority = 0;    // among waiting calls the highest goes first, then the oldest
  bool stream = true;  // false: the whole reply at once; on_text is then called once
  std::optional<std::chrono::milliseconds> deadline;  // from submit(), waiting included
};

// Raises Error (bad input) that names the field: no message, an empty role, a number out of range, text that is not
// UTF-8.
void check_request(const ChatRequest& request);

struct RequestStyle {
  std::string model;
  bool max_completion_tokens = false;  // newer servers' name for max_tokens
  bool include_usage = true;           // ask a stream for its usage
};

// The body of POST /v1/chat/completions.
std::string request_body(const ChatRequest& request, const RequestStyle& style);

// SHA-256 (hex) over the canonical JSON (sorted keys) of everything that decides the reply. `endpoint` names where the
// call goes (a URL or an alias). The run key includes the slot; the content key does not.
std::string run_key(const ChatRequest& request, std::string_view endpoint, std::string_view model);
std::string content_key(const ChatRequest& request, std::string_view model);

// A guess where nobody says how many tokens a text has: a quarter of its bytes.
inline std::int64_t guessed_tokens(std::size_t bytes) { return static_cast<std::int64_t>(bytes + 3) / 4; }

// An upper bound for the tokens of the prompt, without a tokenizer: no token is shorter than a byte, and templates add
// a few tokens a message. About four times the true number for English.
std::int64_t prompt_token_bound(const ChatRequest& request);

}  // namespace kinglet
