// A thin layer over PostgreSQL's libpq: errors as kinglet::Error, results that free themselves. No error holds a
// password.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kinglet/base/error.h"

struct pg_conn;
struct pg_result;

namespace kinglet {

// Columns and rows count from 0. NULL reads as empty, 0 and false.
class PostgresResult {
 public:
  explicit PostgresResult(pg_result* handle);

  int rows() const;
  int changed_rows() const;  // by INSERT or UPDATE
  std::string text(int row, int column) const;
  std::int64_t integer(int row, int column) const;
  bool boolean(int row, int column) const { return text(row, column) == "t"; }
  std::string bytes(int row, int column) const;  // of a bytea

 private:
  struct Clear {
    void operator()(pg_result* handle) const;
  };
  std::unique_ptr<pg_result, Clear> handle_;
};

// Stands for $1, $2 ... The text must stay until run() has returned.
struct PostgresValue {
  PostgresValue(std::string_view value) : text(value) {}              // NOLINT: converts on purpose
  PostgresValue(const std::string& value) : text(value) {}            // NOLINT
  PostgresValue(const char* value) : text(value) {}                   // NOLINT
  PostgresValue(std::int64_t value) : text(std::to_string(value)) {}  // NOLINT
  PostgresValue(int value) : text(std::to_string(value)) {}           // NOLINT
  PostgresValue(bool value) : text(value ? "t" : "f") {}              // NOLINT
  static PostgresValue binary(std::string_view value);                // for a bytea
  static PostgresValue list(const std::vector<std::string>& values);  // for a text[]
  std::string text;
  bool is_bytes = false;
};

class PostgresConnection {
 public:
  // `url`: postgresql://user@host:port/database, or libpq's "host=... dbname=..."; what is missing comes from libpq's
  // environment variables (PGHOST ...), the password from PGPASSWORD or ~/.pgpass. Raises Error: bad input for a URL
  // that cannot be read, one that holds a password, and when the server refuses user, password or database; failed when
  // no server answers.
  explicit PostgresConnection(const std::string& url);
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  // One statement; it is prepared when it comes for the first time. An error rolls an open transaction back.
  PostgresResult run(const std::string& sql, const std::vector<PostgresValue>& values = {});
  void run_script(const std::string& sql);  // several statements

  void begin();  // does nothing in a transaction
  void commit();
  void rollback() noexcept;

  const std::string& place() const { return place_; }  // "database 'db' at host:port", for errors

 private:
  PostgresResult checked(pg_result* result);
  Error error(std::string_view what) const;

  pg_conn* handle_ = nullptr;
  std::string place_;
  bool in_transaction_ = false;
  std::unordered_map<std::string, std::string> prepared_;  // by text
};

}  // namespace kinglet
