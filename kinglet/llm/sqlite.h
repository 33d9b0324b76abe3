// A thin layer over SQLite: errors as kinglet::Error, statements that reset and finalise themselves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "kinglet/base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace kinglet {

class SqliteStatement;

class SqliteDatabase {
 public:
  enum class Durability {
    kEachCommit,  // a commit is on the disk when it returns
    kOrdered,     // the last commits may be lost with the power, never with the process; what is left is whole
  };
  // Creates the file when it is missing; write-ahead log. Raises Error: bad input for a file that is no database.
  SqliteDatabase(const std::filesystem::path& path, Durability durability);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  void run(const char* sql);  // statements without parameters
  // Checks the version of our schema: creates it in an empty file, refuses a file of another kind or version.
  void prepare_schema(std::int32_t application_id, std::int32_t version, const char* schema);
  Error error(std::string_view what) const;  // the last error of the library

  const std::filesystem::path& path() const { return path_; }
  sqlite3* handle() const { return handle_; }

 private:
  std::filesystem::path path_;
  sqlite3* handle_ = nullptr;
};

// Parameters and columns count from 0. Texts that are bound must stay until step() or run() has returned.
class SqliteStatement {
 public:
  SqliteStatement(SqliteDatabase& database, const char* sql);
  ~SqliteStatement();
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  SqliteStatement& bind(int index, std::int64_t value);
  SqliteStatement& bind(int index, double value);
  SqliteStatement& bind(int index, std::string_view value);
  SqliteStatement& bind_bytes(int index, std::string_view value);

  bool step();  // whether there is a row; after the last one the statement is reset
  void run();   // to its end
  void reset();

  std::int64_t integer(int column) const;
  std::string text(int column) const;  // of a text or of bytes

 private:
  SqliteDatabase& database_;
  sqlite3_stmt* handle_ = nullptr;
};

}  // namespace kinglet
