// Chat templates: how a model wants a conversation written as one text.
//
// Models bring them as Jinja templates (`chat_template` in tokenizer_config.json). They are rendered here as
// transformers renders them: the same settings of white space, the same functions and the same text. A template is
// untrusted code: it sees only what is given to it, cannot change it, and its time, memory and depth are bounded.
#pragma once

#include <cstddef>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kinglet/text/jinja_runtime.h"
#include "kinglet/text/json_text.h"

namespace kinglet {

struct ChatOptions {
  bool add_generation_prompt = false;  // end with the beginning of a reply
  Json tools;                          // a list of function schemas; null when there are none
  Json extra = Json::object();         // more variables of the template: {"enable_thinking": false}
  // In place of what the model's files say.
  std::optional<std::string> bos_token, eos_token;
  std::optional<std::time_t> now;  // what strftime_now() prints, in local time; nothing: the present
  jinja::Limits limits;
};

struct ByteRange {
  std::size_t begin = 0, end = 0;  // [begin, end)
  bool operator==(const ByteRange&) const = default;
};

struct RenderedChat {
  std::string text;
  std::vector<ByteRange> replies;  // what the model would have written, in order, apart from each other
};

class ChatTemplate {
 public:
  // Raises Error (bad input) with the line for a source that is not understood.
  static ChatTemplate parse(std::string_view source, std::string where = "chat template");

  // From a model's folder: chat_template.jinja, else chat_template.json, else tokenizer_config.json, whose
  // chat_template is a text or a list of named ones: `name` is taken ("default"), and "tool_use" where tools are given.
  // Special tokens come from tokenizer_config.json. Nothing when the folder has no template; Error (bad input) when it
  // is damaged or has none of this name.
  static std::optional<ChatTemplate> load(const std::filesystem::path& folder, std::string_view name = "default");

  // `messages`: a list of objects, normally {"role", "content"}. Raises Error (bad input) when the template refuses the
  // conversation (its own message), when it is wrong, or when it reaches a limit.
  std::string render(const Json& messages, const ChatOptions& options = {}) const;

  // Also says where the replies of the assistant stand, from what follows the generation prompt to what the template
  // puts at the end of the reply. Through the {% generation %} blocks of the template; where it has none, by rendering
  // the conversation up to each reply, without and with it.
  RenderedChat render_with_spans(const Json& messages, const ChatOptions& options = {}) const;

  bool marks_generation() const;  // whether the template has {% generation %} blocks

  // Tokens by role ("bos_token"), as templates see them.
  void set_special_token(const std::string& role, std::string token);
  const std::vector<std::pair<std::string, std::string>>& special_tokens() const { return special_tokens_; }

 private:
  struct Program;
  RenderedChat run(const Json& messages, const ChatOptions& options) const;

  std::shared_ptr<const Program> program_, tool_program_;  // the second may be null
  std::vector<std::pair<std::string, std::string>> special_tokens_;
};

}  // namespace kinglet
