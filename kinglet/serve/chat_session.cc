#include "kinglet/serve/chat_session.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "kinglet/serve/choice_text.h"

namespace kinglet {
namespace {

constexpr std::chrono::milliseconds kLook{20};

// Between the engine's thread and the one that prints.
struct Mailbox {
  std::mutex mutex;
  std::condition_variable changed;
  std::string text;
  SequenceResult result;
  bool ended = false, cancelled = false;
};

}  // namespace

ChatSession::ChatSession(TokenEngine& engine, const ServedModel& model, ChatSettings settings)
    : engine_(engine), model_(model), settings_(settings) {
  if (!model.chat_template) {
    throw bad_input(model.name, "this model has no chat template",
                    "give one with --chat-template FILE, or continue texts with 'kinglet generate'");
  }
}

void ChatSession::reset() {
  messages_ = Json::array();
  if (!system_.empty()) messages_.push_back({{"role", "system"}, {"content", system_}});
}

void ChatSession::set_system(const std::string& text) {
  system_ = text;
  reset();
}

ChatAnswer ChatSession::say(const std::string& text, const std::function<void(std::string_view)>& on_text,
                            const std::function<bool()>& stop) {
  const Json before = messages_;
  messages_.push_back({{"role", "user"}, {"content", text}});
  try {
    ChatAnswer answer = generate(on_text, stop);
    messages_.push_back({{"role", "assistant"}, {"content", answer.text}});
    return answer;
  } catch (...) {
    messages_ = before;
    throw;
  }
}

std::vector<TokenId> ChatSession::prompt_tokens() const {
  ChatOptions options;
  options.add_generation_prompt = true;
  std::vector<TokenId> tokens = model_.tokenizer->encode(model_.chat_template->render(messages_, options), false);
  if (static_cast<std::int64_t>(tokens.size()) >= engine_.max_positions()) {
    throw bad_input(
        model_.name,
        fmt::format("the conversation has {} tokens, the model takes {}", tokens.size(), engine_.max_positions()),
        "start anew with /reset");
  }
  return tokens;
}

ChatAnswer ChatSession::generate(const std::function<void(std::string_view)>& on_text,
                                 const std::function<bool()>& stop) {
  TokenRequest request;
  request.prompt = prompt_tokens();
  request.choice = settings_.choice;
  request.eos = model_.eos;
  const auto left = engine_.max_positions() - static_cast<std::int64_t>(request.prompt.size());
  request.max_tokens = settings_.max_tokens > 0 ? std::min(settings_.max_tokens, left) : left;
  const auto text =
      std::make_shared<ChoiceText>(*model_.tokenizer, request.prompt, ChoiceText::Setting{{}, model_.eos, false});
  const auto mailbox = std::make_shared<Mailbox>();
  SequenceCallbacks callbacks;
  callbacks.on_token = [mailbox, text](const EngineToken& token) {
    const std::lock_guard lock(mailbox->mutex);
    mailbox->text += text->push(token).text;
    mailbox->changed.notify_one();
    return !mailbox->cancelled;
  };
  callbacks.on_end = [mailbox, text](const SequenceResult& result) {
    const std::lock_guard lock(mailbox->mutex);
    mailbox->text += text->finish().text;
    mailbox->result = result;
    mailbox->ended = true;
    mailbox->changed.notify_one();
  };
  const std::uint64_t sequence = engine_.submit(std::move(request), std::move(callbacks));
  ChatAnswer answer;
  std::unique_lock lock(mailbox->mutex);
  for (bool ended = false; !ended;) {
    mailbox->changed.wait_for(lock, kLook, [&] { return mailbox->ended || !mailbox->text.empty(); });
    ended = mailbox->ended;
    const std::string piece = std::exchange(mailbox->text, {});
    const bool cancel = stop() && !std::exchange(mailbox->cancelled, true);
    lock.unlock();
    if (cancel) engine_.cancel(sequence);
    answer.text += piece;
    if (!piece.empty()) on_text(piece);
    lock.lock();
  }
  answer.result = mailbox->result;
  if (answer.result.end == SequenceEnd::kFailed) throw failed(model_.name, answer.result.error);
  return answer;
}

}  // namespace kinglet
