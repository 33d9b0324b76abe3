#include "kinglet/text/chat_spans.h"

#include <algorithm>
#include <optional>

#include "kinglet/base/error.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet {
namespace {

std::size_t common_prefix(std::string_view a, std::string_view b) {
  const std::size_t length = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(length), b.begin()).first - a.begin());
}

Json first_messages(const Json& messages, std::size_t count) {
  Json part = Json::array();
  for (std::size_t i = 0; i < count; ++i) part.push_back(messages[i]);
  return part;
}

// Nothing when the template refuses the conversation, for example one that ends with a system message.
std::optional<std::string> try_render(const RenderPart& render, const Json& messages, bool add_generation_prompt) {
  try {
    return render(messages, add_generation_prompt);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kBadInput) throw;
    return std::nullopt;
  }
}

class ReplyFinder {
 public:
  ReplyFinder(std::string_view text, const Json& messages, const RenderPart& render)
      : text_(text), messages_(messages), render_(render) {}

  std::optional<ByteRange> find(std::size_t reply, std::size_t from) {
    const std::optional<ByteRange> content = content_of(reply, from);
    const std::optional<std::string> before = try_render(render_, first_messages(messages_, reply), true);
    const std::optional<std::string> with = try_render(render_, first_messages(messages_, reply + 1), false);
    ByteRange range;
    if (before && text_.starts_with(*before) && before->size() >= from) {
      range.begin = before->size();
    } else if (content) {
      range.begin = content->begin;
    } else {
      return std::nullopt;
    }
    const std::size_t least = content ? std::max(content->end, range.begin) : range.begin;
    range.end = end_of(reply, before, with, least);
    if (content) range.begin = std::min(range.begin, content->begin);
    if (range.end <= range.begin) return std::nullopt;
    return range;
  }

 private:
  // The place of the reply's text, looked for behind `from`; templates trim it, so without white space around it.
  std::optional<ByteRange> content_of(std::size_t reply, std::size_t from) const {
    const Json& message = messages_[reply];
    if (!message.contains("content") || !message["content"].is_string()) return std::nullopt;
    std::string_view content = message["content"].get_ref<const std::string&>();
    const std::size_t begin = content.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return std::nullopt;
    content = content.substr(begin, content.find_last_not_of(" \t\r\n") + 1 - begin);
    // What differs when the content is another one starts at the content, wherever else its words may stand.
    Json changed = messages_;
    changed[reply]["content"] = std::string(content[0] == 'x' ? "y" : "x");
    const std::optional<std::string> other = try_render(render_, changed, false);
    const std::size_t start = std::max(from, other ? common_prefix(text_, *other) : from);
    const std::size_t found = jinja::find_part(text_, content, start);
    if (found == std::string_view::npos) return std::nullopt;
    return ByteRange{found, found + content.size()};
  }

  // For a reply of which the template shows only the end: what it puts behind any reply stands behind this one too.
  std::optional<std::size_t> end_by_tail(std::size_t reply, std::size_t least) const {
    const Json& message = messages_[reply];
    if (!message.contains("content") || !message["content"].is_string()) return std::nullopt;
    const auto& content = message["content"].get_ref<const std::string&>();
    const auto with_ending = [&](const char* ending) {
      Json part = first_messages(messages_, reply + 1);
      part[reply]["content"] = content + ending;
      return try_render(render_, part, false);
    };
    const std::optional<std::string> one = with_ending("x"), other = with_ending("y");
    if (!one || !other) return std::nullopt;
    const auto first_difference = std::mismatch(one->rbegin(), one->rend(), other->rbegin(), other->rend()).first;
    const std::string tail(first_difference.base(), one->end());
    if (tail.empty()) return std::nullopt;
    const std::size_t found = jinja::find_part(text_, tail, least);
    if (found == std::string_view::npos || !content.ends_with(text_.substr(least, found - least))) return std::nullopt;
    return found + tail.size();
  }

  std::size_t end_of(std::size_t reply, const std::optional<std::string>& before,
                     const std::optional<std::string>& with, std::size_t least) const {
    const bool obeys = before && try_render(render_, first_messages(messages_, reply), false) != before;
    const bool is_prefix = with && text_.starts_with(*with) && with->size() >= least;
    if (is_prefix && obeys) return with->size();
    if (!is_prefix) {
      if (const std::optional<std::size_t> end = end_by_tail(reply, least)) return *end;
    }
    // A template that always, or never, ends with the beginning of a reply: the next question ends what belongs to this
    // one.
    Json asked = first_messages(messages_, reply + 1);
    asked.push_back({{"role", "user"}, {"content", "x"}});
    const std::optional<std::string> next = try_render(render_, asked, false);
    if (with && next && text_.substr(0, least) == std::string_view(*with).substr(0, least)) {
      const std::size_t shared = std::min(common_prefix(*with, *next), common_prefix(text_, *with));
      if (shared >= least) return shared;
    }
    return is_prefix ? with->size() : std::max(least, common_prefix(text_, with ? *with : std::string()));
  }

  std::string_view text_;
  const Json& messages_;
  const RenderPart& render_;
};

}  // namespace

std::vector<ByteRange> find_replies(std::string_view text, const Json& messages, const RenderPart& render) {
  ReplyFinder finder(text, messages, render);
  std::vector<ByteRange> replies;
  std::size_t from = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    if (!message.is_object() || !message.contains("role") || message["role"] != "assistant") continue;
    const std::optional<ByteRange> range = finder.find(i, from);
    if (!range) continue;
    replies.push_back(*range);
    from = range->end;
  }
  return replies;
}

}  // namespace kinglet
