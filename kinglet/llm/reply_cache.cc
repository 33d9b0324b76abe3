#include "kinglet/llm/reply_cache.h"

#include <algorithm>
#include <utility>

#include "kinglet/base/error.h"
#include "kinglet/llm/sqlite.h"

namespace kinglet {
namespace {

constexpr std::int32_t kCacheId = 0x4B4E5243;  // "KNRC"
constexpr std::int32_t kVersion = 1;

}  // namespace

struct ReplyCache::Database {
  explicit Database(const std::filesystem::path& path) : file(path, SqliteDatabase::Durability::kOrdered) {
    file.prepare_schema(kCacheId, kVersion, "CREATE TABLE replies(key TEXT PRIMARY KEY, reply TEXT NOT NULL)");
    statements = std::make_unique<Statements>(file);
  }
  struct Statements {
    explicit Statements(SqliteDatabase& file)
        : find(file, "SELECT reply FROM replies WHERE key = ?"),
          store(file, "INSERT OR IGNORE INTO replies VALUES(?, ?)") {}
    SqliteStatement find, store;
  };
  SqliteDatabase file;
  std::unique_ptr<Statements> statements;
  int uncommitted = 0;
};

ReplyCache::ReplyCache(const std::filesystem::path& path, int stores_a_commit)
    : database_(std::make_unique<Database>(path)), stores_a_commit_(stores_a_commit) {}

ReplyCache::~ReplyCache() {
  try {
    commit();
  } catch (const Error&) {
    // A cache that cannot be written costs calls later, nothing else.
  }
}

std::optional<ChatReply> ReplyCache::find(const std::string& key) {
  SqliteStatement& statement = database_->statements->find;
  statement.bind(0, std::string_view(key));
  if (!statement.step()) return std::nullopt;
  const std::string text = statement.text(0);
  statement.reset();
  return reply_from_json(parse_json(text, database_->file.path().string()), database_->file.path().string());
}

void ReplyCache::store(const std::string& key, const ChatReply& reply) {
  if (database_->uncommitted++ == 0) database_->file.run("BEGIN IMMEDIATE");
  const std::string text = reply_to_json(reply).dump(-1, ' ', false, Json::error_handler_t::replace);
  database_->statements->store.bind(0, std::string_view(key)).bind(1, std::string_view(text)).run();
  if (database_->uncommitted >= stores_a_commit_) commit();
}

void ReplyCache::commit() {
  if (database_->uncommitted == 0) return;
  database_->uncommitted = 0;
  database_->file.run("COMMIT");
}

std::int64_t ReplyCache::size() {
  SqliteStatement count(database_->file, "SELECT count(*) FROM replies");
  count.step();
  return count.integer(0);
}

CachedModel::CachedModel(ReplyCache& cache, ChatModel& inner, CostMeter* meter)
    : cache_(cache), inner_(&inner), name_(inner.name()), meter_(meter) {}

CachedModel::CachedModel(ReplyCache& cache, std::string model_name, CostMeter* meter)
    : cache_(cache), name_(std::move(model_name)), meter_(meter) {}

CallId CachedModel::submit(ChatRequest request, ChatCallbacks callbacks) {
  check_request(request);
  const CallId id = next_++;
  const std::string key = content_key(request, name_);
  Call call{std::move(callbacks), request.role, cache_.find(key), {}, false};
  if (call.reply) {
    ++hits_;
    call.reply->replayed = true;
  } else if (inner_ == nullptr) {
    ++misses_;
    call.reply.emplace();
    call.reply->status = ReplyStatus::kFailed;
    call.reply->error = "this call is not recorded, and only recorded ones are replayed";
  }
  if (call.reply) {
    known_.push_back(id);
  } else {
    ++misses_;
    ChatCallbacks inner_callbacks;
    inner_callbacks.on_text = call.callbacks.on_text;
    inner_callbacks.on_reply = [this, id, key](ChatReply reply) {
      if (reply.done()) cache_.store(key, reply);
      end(id, std::move(reply));
    };
    call.forwarded = inner_->submit(std::move(request), std::move(inner_callbacks));
  }
  calls_.emplace(id, std::move(call));
  return id;
}

void CachedModel::cancel(CallId id) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  found->second.cancelled = true;
  if (found->second.forwarded) inner_->cancel(*found->second.forwarded);
}

bool CachedModel::poll(std::chrono::milliseconds wait) {
  const std::vector<CallId> known = std::exchange(known_, {});
  for (const CallId id : known) {
    Call& call = calls_.at(id);
    ChatReply reply = std::move(*call.reply);
    if (call.cancelled) {
      reply = {};
      reply.status = ReplyStatus::kCancelled;
      reply.error = "cancelled";
    } else if (reply.done()) {
      if (meter_ != nullptr) meter_->add(call.role, name_, reply);
      if (call.callbacks.on_text && !reply.text.empty()) call.callbacks.on_text(reply.text);
    }
    end(id, std::move(reply));
  }
  if (inner_ != nullptr && inner_->open_calls() > 0) {
    inner_->poll(known.empty() && known_.empty() ? wait : std::chrono::milliseconds{0});
  }
  return !calls_.empty();
}

void CachedModel::end(CallId id, ChatReply reply) {
  const auto node = calls_.extract(id);
  node.mapped().callbacks.on_reply(std::move(reply));
}

}  // namespace kinglet
