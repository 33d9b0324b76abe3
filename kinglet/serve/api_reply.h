// Answers in the JSON of the OpenAI protocol, in its two dialects: chat and plain text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/serve/choice_text.h"
#include "kinglet/text/json_text.h"

namespace kinglet {

struct ReplyUsage {
  std::int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
};

class ReplyFormat {
 public:
  struct Setting {
    bool chat = true;
    std::string id, model, fingerprint;
    std::int64_t created = 0;  // seconds since 1970
    bool log_probabilities = false;
    bool include_usage = false;  // of a stream
  };
  explicit ReplyFormat(Setting setting) : setting_(std::move(setting)) {}
  const Setting& setting() const { return setting_; }

  // One event of a stream ("data: ...\n\n").
  std::string first_event(std::int64_t index) const;  // chat: the role; otherwise nothing
  std::string event(std::int64_t index, const TextPiece& piece) const;
  std::string end_event(std::int64_t index, std::string_view finish_reason) const;
  std::string usage_event(const ReplyUsage& usage) const;
  // What a forest of reasoning trees does; for clients that asked to look on.
  std::string reasoning_event(const Json& event) const;
  static std::string error_event(std::string_view error_body);
  static constexpr std::string_view kDone = "data: [DONE]\n\n";

  // A whole answer.
  Json choice(std::int64_t index, const TextPiece& whole, std::string_view finish_reason) const;
  std::string document(const Json& choices, const ReplyUsage& usage, const Json& reasoning = nullptr) const;

 private:
  Json head(std::string_view object) const;
  std::string chunk(Json choices, const ReplyUsage* usage) const;
  Json log_probabilities(const std::vector<ShownToken>& tokens) const;

  Setting setting_;
};

}  // namespace kinglet
