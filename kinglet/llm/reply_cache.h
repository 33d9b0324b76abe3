// Replies by content: the same request to the same model is answered once, over runs and methods. Only calls that are
// done are kept. `sample` of a request is part of the key, so several draws of one prompt stay several.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/llm/chat_model.h"
#include "kinglet/llm/cost.h"

namespace kinglet {

class ReplyCache {
 public:
  // Opens or creates an SQLite file. Several processes may share it. A process that is killed loses up to
  // `stores_a_commit` - 1 replies. Raises Error: bad input for another kind of file.
  explicit ReplyCache(const std::filesystem::path& path, int stores_a_commit = 256);
  ~ReplyCache();  // commits

  std::optional<ChatReply> find(const std::string& key);
  void store(const std::string& key, const ChatReply& reply);  // the first reply to a key stays
  void commit();
  std::int64_t size();

 private:
  struct Database;
  std::unique_ptr<Database> database_;
  const int stores_a_commit_;
};

// A model behind a cache. Without an inner model it only replays: a call that is not recorded fails.
class CachedModel final : public ChatModel {
 public:
  // Both must outlive it; `meter`, which counts the hits, may be missing.
  CachedModel(ReplyCache& cache, ChatModel& inner, CostMeter* meter = nullptr);
  CachedModel(ReplyCache& cache, std::string model_name, CostMeter* meter = nullptr);

  CallId submit(ChatRequest request, ChatCallbacks callbacks) override;
  void cancel(CallId call) override;
  bool poll(std::chrono::milliseconds wait) override;
  std::size_t open_calls() const override { return calls_.size(); }
  std::string_view name() const override { return name_; }

  std::uint64_t hits() const { return hits_; }
  std::uint64_t misses() const { return misses_; }

 private:
  struct Call {
    ChatCallbacks callbacks;
    std::string role;
    std::optional<ChatReply> reply;   // known from the start
    std::optional<CallId> forwarded;  // in the inner model
    bool cancelled = false;
  };
  void end(CallId id, ChatReply reply);

  ReplyCache& cache_;
  ChatModel* inner_ = nullptr;
  std::string name_;
  CostMeter* meter_;
  std::map<CallId, Call> calls_;
  std::vector<CallId> known_;
  CallId next_ = 1;
  std::uint64_t hits_ = 0, misses_ = 0;
};

}  // namespace kinglet
