// Where the replies of the assistant stand in a rendered conversation, for templates that do not say it themselves.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/text/chat_template.h"

namespace kinglet {

using RenderPart = std::function<std::string(const Json& messages, bool add_generation_prompt)>;

// `text`: all of `messages`, rendered. A reply begins where the conversation before it, with the generation prompt,
// ends, and ends where the conversation with it ends. Templates that rewrite what came before (that drop earlier
// thoughts, or move the tools to the last question) make those no beginnings of `text`; the place of the reply's
// content then tells. What a template shows of no reply at all has no range.
std::vector<ByteRange> find_replies(std::string_view text, const Json& messages, const RenderPart& render);

}  // namespace kinglet
