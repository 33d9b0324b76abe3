// The body of a model's answer, a document or a stream: what is accepted is a sound reply that a cache gives back.
#include <cmath>
#include <string>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/llm/reply_reader.h"
#include "kinglet/text/utf8.h"

namespace kinglet::fuzz {
namespace {

void check_sound(const ChatReply& reply, std::size_t input_bytes) {
  require(utf8::is_valid(reply.text) && utf8::is_valid(reply.reasoning), "texts are valid UTF-8");
  require(reply.text.size() <= 3 * input_bytes, "the text is in proportion");  // a damaged byte becomes three
  const TokenUsage& usage = reply.usage;
  require(usage.prompt >= 0 && usage.completion >= 0, "counts are not negative");
  require(usage.cached >= 0 && usage.cached <= usage.prompt, "cached tokens are part of the prompt");
  require(usage.reasoning >= 0 && usage.reasoning <= usage.completion, "reasoning is part of the completion");
  for (const TokenLogProb& token : reply.log_probs) {
    require(std::isfinite(token.log_prob) && token.log_prob <= 0, "log-probs are finite and not above 0");
  }
}

void check_chat_reply(ByteView input) {
  const std::string_view text = as_text(input);
  server_error_in(text);
  ChatReply reply;
  std::string pieces;
  ReplyReader reader;
  for (std::size_t at = 0; at < text.size(); at += 5) pieces += reader.feed(text.substr(at, 5));
  const bool in_pieces = accepted([&] { reply = reader.finish(); });
  ChatReply whole;
  require(accepted([&] { whole = parse_reply(text); }) == in_pieces, "pieces make no difference");
  if (!in_pieces) return;
  require(whole.text == reply.text && whole.usage == reply.usage, "pieces make no difference to the reply");
  require(reply.text.starts_with(pieces), "pieces of the text are its beginning");
  check_sound(reply, text.size());
  const ChatReply again = reply_from_json(parse_json(reply_to_json(reply).dump(), "cache"), "cache");
  require(again.text == reply.text && again.usage == reply.usage && again.log_probs == reply.log_probs &&
              again.finish_reason == reply.finish_reason && again.reasoning == reply.reasoning,
          "a cache gives the reply back");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(chat_reply, kinglet::fuzz::check_chat_reply)
