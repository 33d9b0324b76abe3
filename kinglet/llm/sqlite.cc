#include "kinglet/llm/sqlite.h"

#include <memory>

#include <sqlite3.h>

namespace kinglet {
namespace {

constexpr int kBusyMilliseconds = 5000;  // a reader beside us (a viewer, a backup) may hold the file for a moment

}  // namespace

SqliteDatabase::SqliteDatabase(const std::filesystem::path& path, Durability durability) : path_(path) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path.c_str(), &handle_, flags, nullptr) != SQLITE_OK) {
    const Error problem = error("cannot be opened");
    sqlite3_close(handle_);
    throw problem;
  }
  try {
    sqlite3_busy_timeout(handle_, kBusyMilliseconds);
    run("PRAGMA journal_mode = WAL");
    run(durability == Durability::kEachCommit ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
  } catch (const Error&) {
    sqlite3_close(handle_);
    throw;
  }
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close(handle_); }

Error SqliteDatabase::error(std::string_view what) const {
  const int code = handle_ == nullptr ? SQLITE_NOMEM : sqlite3_errcode(handle_);
  const std::string text = fmt::format("{}: {}", what, handle_ == nullptr ? "out of memory" : sqlite3_errmsg(handle_));
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
    return bad_input(path_.string(), text, "the file is damaged or something else; move it away");
  }
  return failed(path_.string(), text, code == SQLITE_FULL ? "free some space, then run again" : "");
}

void SqliteDatabase::run(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) throw error("cannot be used");
}

void SqliteDatabase::prepare_schema(std::int32_t application_id, std::int32_t version, const char* schema) {
  const auto pragma = [&](const char* sql) {
    SqliteStatement statement(*this, sql);
    statement.step();
    return statement.integer(0);
  };
  const std::int64_t id = pragma("PRAGMA application_id"), found = pragma("PRAGMA user_version");
  if (id == 0 && found == 0 && pragma("SELECT count(*) FROM sqlite_master") == 0) {
    run(fmt::format("BEGIN; {}; PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT", schema, application_id,
                    version)
            .c_str());
    return;
  }
  if (id != application_id) throw bad_input(path_.string(), "is a database of another kind", "give another path");
  if (found != version) {
    throw bad_input(path_.string(), fmt::format("has version {} of the format; this program knows {}", found, version),
                    "use the program that wrote it, or another path");
  }
}

SqliteStatement::SqliteStatement(SqliteDatabase& database, const char* sql) : database_(database) {
  if (sqlite3_prepare_v3(database.handle(), sql, -1, SQLITE_PREPARE_PERSISTENT, &handle_, nullptr) != SQLITE_OK) {
    throw database.error("cannot be used");
  }
}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(handle_); }

SqliteStatement& SqliteStatement::bind(int index, std::int64_t value) {
  sqlite3_bind_int64(handle_, index + 1, value);
  return *this;
}

SqliteStatement& SqliteStatement::bind(int index, double value) {
  sqlite3_bind_double(handle_, index + 1, value);
  return *this;
}

SqliteStatement& SqliteStatement::bind(int index, std::string_view value) {
  // A null pointer would be bound as NULL.
  sqlite3_bind_text64(handle_, index + 1, value.data() == nullptr ? "" : value.data(), value.size(), SQLITE_STATIC,
                      SQLITE_UTF8);
  return *this;
}

SqliteStatement& SqliteStatement::bind_bytes(int index, std::string_view value) {
  sqlite3_bind_blob64(handle_, index + 1, value.data() == nullptr ? "" : value.data(), value.size(), SQLITE_STATIC);
  return *this;
}

bool SqliteStatement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    const Error problem = database_.error("cannot be read or written");
    sqlite3_reset(handle_);
    throw problem;
  }
  sqlite3_reset(handle_);
  return false;
}

void SqliteStatement::run() {
  while (step()) {
  }
}

void SqliteStatement::reset() { sqlite3_reset(handle_); }

std::int64_t SqliteStatement::integer(int column) const { return sqlite3_column_int64(handle_, column); }

std::string SqliteStatement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  const int size = sqlite3_column_bytes(handle_, column);
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(size));
}

}  // namespace kinglet
