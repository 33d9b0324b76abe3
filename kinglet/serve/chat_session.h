// A conversation with a model, one turn after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "kinglet/serve/api_service.h"

namespace kinglet {

struct ChatSettings {
  TokenChoice choice;
  std::int64_t max_tokens = 0;  // of an answer; 0: what fits
};

struct ChatAnswer {
  std::string text;
  SequenceResult result;
};

class ChatSession {
 public:
  // Engine and model must outlive it. Raises Error (bad input) when the model has no chat template.
  ChatSession(TokenEngine& engine, const ServedModel& model, ChatSettings settings);

  // What the user says, and the answer, which is kept for later turns with what the user said. `on_text` gets whole
  // characters as they come; once `stop` says so, the answer ends where it is. Both are called from this thread.
  // Raises Error: bad input for a conversation that the template refuses or that has become too long, failed when the
  // model cannot go on. The conversation is then as before.
  ChatAnswer say(const std::string& text, const std::function<void(std::string_view)>& on_text,
                 const std::function<bool()>& stop);

  void set_system(const std::string& text);  // empty: none; the conversation starts anew
  void reset();                              // keeps the system prompt
  const Json& messages() const { return messages_; }

 private:
  std::vector<TokenId> prompt_tokens() const;
  ChatAnswer generate(const std::function<void(std::string_view)>& on_text, const std::function<bool()>& stop);

  TokenEngine& engine_;
  const ServedModel& model_;
  ChatSettings settings_;
  std::string system_;
  Json messages_ = Json::array();
};

}  // namespace kinglet
