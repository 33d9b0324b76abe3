#include "kinglet/llm/sqlite_ledger.h"

#include <chrono>
#include <system_error>

#include <zstd.h>

#include "kinglet/base/error.h"
#include "kinglet/llm/sqlite.h"

namespace kinglet {
namespace {

constexpr std::int32_t kLedgerId = 0x4B4E4C47;  // "KNLG"
constexpr std::int32_t kLedgerVersion = 1;
constexpr std::size_t kPackFrom = 2048;  // bytes; streams of events shrink some twenty times
constexpr unsigned long long kLongestBody = 256ULL << 20;

constexpr char kSchema[] =
    "CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE calls(key TEXT PRIMARY KEY, slot TEXT NOT NULL, role TEXT NOT NULL, state INTEGER NOT NULL,"
    " status INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', packed INTEGER NOT NULL DEFAULT 0,"
    " body BLOB NOT NULL DEFAULT x'');"
    "CREATE TABLE attempts(key TEXT NOT NULL, number INTEGER NOT NULL, sent_at REAL NOT NULL, ended_at REAL,"
    " reserved_tokens INTEGER NOT NULL, outcome TEXT NOT NULL DEFAULT '', doubtful INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY(key, number)) WITHOUT ROWID";

enum StoredState { kSent = 1, kAnswered = 2, kFailed = 3 };

// For people who look at the ledger; nothing is decided by it.
double wall_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string packed(std::string_view body) {
  std::string bytes(ZSTD_compressBound(body.size()), '\0');
  const std::size_t size = ZSTD_compress(bytes.data(), bytes.size(), body.data(), body.size(), 1);
  if (ZSTD_isError(size) != 0) throw failed("ledger", "cannot pack an answer");
  bytes.resize(size);
  return bytes;
}

std::string unpacked(const std::string& bytes, const std::string& where) {
  const unsigned long long size = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
  if (size > kLongestBody) throw bad_input(where, "holds a damaged answer", "the file is damaged");
  std::string body(size, '\0');
  const std::size_t written = ZSTD_decompress(body.data(), body.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(written) != 0 || written != size) {
    throw bad_input(where, "holds a damaged answer", "the file is damaged");
  }
  return body;
}

}  // namespace

struct SqliteLedger::Database {
  explicit Database(const std::filesystem::path& path) : file(path, SqliteDatabase::Durability::kEachCommit) {
    file.prepare_schema(kLedgerId, kLedgerVersion, kSchema);
    statements = std::make_unique<Statements>(file);
  }

  struct Statements {
    explicit Statements(SqliteDatabase& file)
        : find(file, "SELECT state, status, error, packed, body FROM calls WHERE key = ?"),
          attempts(file, "SELECT count(*), coalesce(sum(doubtful), 0) FROM attempts WHERE key = ?"),
          call_sent(file,
                    "INSERT INTO calls(key, slot, role, state) VALUES(?, ?, ?, 1)"
                    " ON CONFLICT(key) DO UPDATE SET state = 1"),
          attempt_sent(file,
                       "INSERT OR REPLACE INTO attempts(key, number, sent_at, reserved_tokens) VALUES(?, ?, ?, ?)"),
          attempt_ended(file,
                        "UPDATE attempts SET ended_at = ?, outcome = ?, doubtful = ? WHERE key = ? AND number = ?"),
          call_ended(file, "UPDATE calls SET state = ?, status = ?, error = ?, packed = ?, body = ? WHERE key = ?") {}
    SqliteStatement find, attempts, call_sent, attempt_sent, attempt_ended, call_ended;
  };
  SqliteDatabase file;
  std::unique_ptr<Statements> statements;
};

SqliteLedger::SqliteLedger(const std::filesystem::path& path) : SqliteLedger(path, Options()) {}

SqliteLedger::SqliteLedger(const std::filesystem::path& path, Options options)
    : lock_(path.string() + ".lock", "ledger"), options_(options), database_(std::make_unique<Database>(path)) {}

SqliteLedger::~SqliteLedger() = default;

void SqliteLedger::check_fingerprint(std::string_view text) {
  SqliteStatement find(database_->file, "SELECT value FROM facts WHERE name = 'fingerprint'");
  if (find.step()) {
    if (find.text(0) == text) return;
    throw bad_input(database_->file.path().string(), "belongs to a run with another configuration",
                    "use the same configuration, or another run folder");
  }
  begin();
  SqliteStatement(database_->file, "INSERT INTO facts VALUES('fingerprint', ?)").bind(0, text).run();
  commit();
}

void SqliteLedger::begin() {
  if (in_transaction_) return;
  database_->file.run("BEGIN IMMEDIATE");
  in_transaction_ = true;
}

void SqliteLedger::commit() {
  if (!in_transaction_) return;
  in_transaction_ = false;
  try {
    database_->file.run("COMMIT");
  } catch (const Error&) {
    try {
      database_->file.run("ROLLBACK");
    } catch (const Error&) {
      // SQLite has rolled back by itself.
    }
    throw;
  }
}

std::optional<LedgerEntry> SqliteLedger::find(const std::string& key) {
  auto& statements = *database_->statements;
  statements.find.bind(0, std::string_view(key));
  if (!statements.find.step()) return std::nullopt;
  LedgerEntry entry;
  const std::int64_t state = statements.find.integer(0);
  entry.state = state == kAnswered ? LedgerEntry::State::kAnswered
                : state == kFailed ? LedgerEntry::State::kFailed
                                   : LedgerEntry::State::kSent;
  entry.status = static_cast<int>(statements.find.integer(1));
  entry.error = statements.find.text(2);
  entry.body = statements.find.text(4);
  if (statements.find.integer(3) != 0) entry.body = unpacked(entry.body, database_->file.path().string());
  statements.find.reset();
  statements.attempts.bind(0, std::string_view(key)).step();
  entry.attempts = static_cast<int>(statements.attempts.integer(0));
  entry.doubtful = static_cast<int>(statements.attempts.integer(1));
  statements.attempts.reset();
  return entry;
}

void SqliteLedger::sent(const std::string& key, std::string_view slot, std::string_view role, int attempt,
                        std::int64_t reserved_tokens) {
  begin();
  auto& statements = *database_->statements;
  statements.call_sent.bind(0, std::string_view(key)).bind(1, slot).bind(2, role).run();
  statements.attempt_sent.bind(0, std::string_view(key))
      .bind(1, std::int64_t{attempt})
      .bind(2, wall_clock())
      .bind(3, reserved_tokens)
      .run();
}

void SqliteLedger::end_attempt(const std::string& key, int attempt, std::string_view outcome, bool doubtful) {
  database_->statements->attempt_ended.bind(0, wall_clock())
      .bind(1, outcome)
      .bind(2, std::int64_t{doubtful})
      .bind(3, std::string_view(key))
      .bind(4, std::int64_t{attempt})
      .run();
}

void SqliteLedger::end_call(const std::string& key, int state, int status, std::string_view error,
                            std::string_view body) {
  const std::string short_body = body.size() >= kPackFrom ? packed(body) : std::string();
  database_->statements->call_ended.bind(0, std::int64_t{state})
      .bind(1, std::int64_t{status})
      .bind(2, error)
      .bind(3, std::int64_t{!short_body.empty()})
      .bind_bytes(4, short_body.empty() ? body : short_body)
      .bind(5, std::string_view(key))
      .run();
}

void SqliteLedger::attempt_ended(const std::string& key, int attempt, std::string_view outcome, bool doubtful) {
  begin();
  end_attempt(key, attempt, outcome, doubtful);
  end_call(key, kFailed, 0, outcome, {});  // until it is sent again: nothing is under way
}

void SqliteLedger::answered(const std::string& key, int attempt, int status, std::string_view body) {
  begin();
  end_attempt(key, attempt, "answered", false);
  end_call(key, kAnswered, status, {}, body);
}

void SqliteLedger::failed(const std::string& key, int attempt, int status, std::string_view error,
                          std::string_view body, bool doubtful) {
  begin();
  end_attempt(key, attempt, "failed", doubtful);
  end_call(key, kFailed, status, error, body);
}

bool SqliteLedger::has_space() {
  std::error_code problem;
  const auto space = std::filesystem::space(std::filesystem::absolute(database_->file.path()).parent_path(), problem);
  return problem || space.available >= options_.reserve_bytes;
}

LedgerSummary SqliteLedger::summary() {
  LedgerSummary summary;
  SqliteStatement calls(database_->file,
                        "SELECT coalesce(sum(state = 2), 0), coalesce(sum(state = 3), 0), coalesce(sum(state = 1), 0)"
                        " FROM calls");
  calls.step();
  summary.answered = calls.integer(0);
  summary.failed = calls.integer(1);
  summary.in_doubt = calls.integer(2);
  SqliteStatement attempts(database_->file,
                           "SELECT count(*), coalesce(sum(EXISTS(SELECT 1 FROM attempts b WHERE b.key = a.key AND"
                           " b.number < a.number AND b.doubtful)), 0) FROM attempts a");
  attempts.step();
  summary.attempts = attempts.integer(0);
  summary.resent_in_doubt = attempts.integer(1);
  return summary;
}

}  // namespace kinglet
