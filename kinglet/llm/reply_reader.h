// Reads the body of an OpenAI-compatible answer as it arrives: one JSON document or an event stream, whichever the
// server chose. Nothing in it is trusted.
//
// Understood beside the plain shape: blank lines and comments that keep a connection alive, `content` that is null or a
// list of parts, reasoning in a field of its own (`reasoning_content`, `reasoning`), log-probs of the chat and of the
// completion shape, usage in a last chunk without choices, an error object inside a 200, a stream without its [DONE].
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "kinglet/llm/chat_reply.h"
#include "kinglet/llm/sse.h"

namespace kinglet {

// What a server says about an error, as far as it says it.
struct ServerError {
  std::string message;
  std::string type;
  std::string code;
};
// The error in a body, whatever the HTTP status: {"error": {...}}, {"error": "..."}, {"message": "..."}, {"detail":
// ...}.
std::optional<ServerError> server_error_in(std::string_view body);

class ReplyReader {
 public:
  static constexpr std::size_t kDefaultLimit = std::size_t{64} << 20;

  explicit ReplyReader(std::size_t max_body_bytes = kDefaultLimit);

  // Returns the text that these bytes added. Never raises: trouble is kept for finish().
  std::string feed(std::string_view bytes);

  // The body has ended. Raises Error (bad input) when it holds no whole reply: not JSON, no choices, an error object
  // (see error()), a stream that stops before a finish reason, more bytes than allowed.
  ChatReply finish();

  // An error object in the body; after finish() for a JSON document.
  const std::optional<ServerError>& error() const { return error_; }
  // What the body says about usage; nothing so far.
  std::optional<TokenUsage> usage() const { return has_usage_ ? std::optional(reply_.usage) : std::nullopt; }
  std::size_t text_bytes() const { return reply_.text.size() + reply_.reasoning.size(); }
  // The stream has said [DONE]; nothing of use follows.
  bool at_end() const { return at_end_; }

 private:
  enum class Form { kUnknown, kDocument, kStream };

  void take(std::string_view bytes);
  void add_event(std::string_view data);
  void add_document(const Json& document, const char* message_field);
  void add_choice(const Json& choice, const char* message_field);

  std::size_t max_body_bytes_;
  std::size_t bytes_ = 0;
  Form form_ = Form::kUnknown;
  std::string document_;
  SseParser events_;
  bool at_end_ = false;
  bool has_choice_ = false;
  bool has_usage_ = false;
  std::size_t reported_ = 0;  // bytes of reply_.text that feed() has returned
  ChatReply reply_;
  std::optional<ServerError> error_;
  std::string problem_;
};

// A recorded body in one go.
ChatReply parse_reply(std::string_view body);

}  // namespace kinglet
