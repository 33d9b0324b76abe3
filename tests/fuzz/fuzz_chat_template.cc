// A chat template: whatever it does, it ends with a text or an Error; the text is valid UTF-8 and the replies lie in
// it.
#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/text/chat_template.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet::fuzz {
namespace {

const Json& conversation() {
  static const Json messages = Json::parse(R"([
    {"role": "system", "content": " Be brief. "},
    {"role": "user", "content": "naïve <b> 🐦"},
    {"role": "assistant", "content": "ok", "tool_calls": [{"id": "abcdefghi", "function": {"name": "f", "arguments": {"a": [1, 2.5, null]}}}]},
    {"role": "user", "content": [{"type": "text", "text": "look"}]}])");
  return messages;
}

void check_chat_template(ByteView input) {
  ChatOptions options;
  options.now = 1732530000;
  options.tools = Json::array({{{"function", {{"name", "f"}}}}});
  options.add_generation_prompt = true;
  options.limits.steps = 20'000;
  options.limits.bytes = 1 << 20;
  options.limits.depth = 100;
  RenderedChat chat;
  if (!accepted([&] { chat = ChatTemplate::parse(as_text(input)).render_with_spans(conversation(), options); })) return;
  require(jinja::is_utf8(chat.text), "the text is UTF-8");
  require(chat.text.size() <= (1U << 20), "the text is within the limit");
  std::size_t at = 0;
  for (const ByteRange& range : chat.replies) {
    require(range.begin >= at && range.end >= range.begin && range.end <= chat.text.size(), "replies are apart");
    at = range.end;
  }
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(chat_template, kinglet::fuzz::check_chat_template)
