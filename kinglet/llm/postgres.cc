#include "kinglet/llm/postgres.h"

#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <libpq-fe.h>

namespace kinglet {
namespace {

std::string first_line(const char* message) {
  std::string text = message == nullptr ? "" : message;
  text.erase(std::min(text.find('\n'), text.size()));
  return text;
}

std::string place_of(const pg_conn* connection) {
  const auto known = [](const char* text) { return std::string(text == nullptr ? "" : text); };
  const std::string host = known(PQhost(connection)), port = known(PQport(connection));
  return fmt::format("database '{}' at {}{}", known(PQdb(connection)), host.empty() ? "this machine" : host,
                     port.empty() ? "" : ":" + port);
}

// Keywords and values for libpq: those of the URL, and ours where it says nothing.
struct ConnectionWords {
  explicit ConnectionWords(const std::string& url) {
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(url.c_str(), nullptr),
                                                                               &PQconninfoFree);
    // libpq would say why, and might repeat a password.
    if (options == nullptr) {
      throw bad_input("database", "its URL cannot be read", "for example postgresql://user@host:5432/database");
    }
    for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
      if (option->val == nullptr) continue;
      if (option->dispchar != nullptr && *option->dispchar == '*') {
        throw bad_input("database", "its URL holds a password", "give it in PGPASSWORD or in ~/.pgpass");
      }
      set(option->keyword, option->val);
    }
    set("connect_timeout", "10");
    set("tcp_user_timeout", "30000");  // milliseconds until a server that is gone is noticed
    set("application_name", "kinglet");
    set("client_encoding", "UTF8");
  }
  void set(const std::string& name, const std::string& value) {
    for (const std::string& other : names) {
      if (other == name) return;
    }
    names.push_back(name);
    values.push_back(value);
  }
  static std::vector<const char*> pointers(const std::vector<std::string>& texts) {
    std::vector<const char*> result;
    for (const std::string& text : texts) result.push_back(text.c_str());
    result.push_back(nullptr);
    return result;
  }
  std::vector<std::string> names, values;
};

}  // namespace

PostgresResult::PostgresResult(pg_result* handle) : handle_(handle) {}

void PostgresResult::Clear::operator()(pg_result* handle) const { PQclear(handle); }

int PostgresResult::rows() const { return PQntuples(handle_.get()); }

int PostgresResult::changed_rows() const { return std::atoi(PQcmdTuples(handle_.get())); }

std::string PostgresResult::text(int row, int column) const {
  return {PQgetvalue(handle_.get(), row, column), static_cast<std::size_t>(PQgetlength(handle_.get(), row, column))};
}

std::int64_t PostgresResult::integer(int row, int column) const {
  return std::strtoll(PQgetvalue(handle_.get(), row, column), nullptr, 10);
}

std::string PostgresResult::bytes(int row, int column) const {
  std::size_t size = 0;
  const auto* escaped = reinterpret_cast<const unsigned char*>(PQgetvalue(handle_.get(), row, column));
  const std::unique_ptr<unsigned char, decltype(&PQfreemem)> bytes(PQunescapeBytea(escaped, &size), &PQfreemem);
  if (bytes == nullptr) throw failed("database", "out of memory");
  return {reinterpret_cast<const char*>(bytes.get()), size};
}

PostgresValue PostgresValue::binary(std::string_view value) {
  PostgresValue result(value);
  result.is_bytes = true;
  return result;
}

PostgresValue PostgresValue::list(const std::vector<std::string>& values) {
  std::string text = "{";
  for (const std::string& value : values) {
    if (text.size() > 1) text += ',';
    text += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return {text + "}"};
}

PostgresConnection::PostgresConnection(const std::string& url) {
  const ConnectionWords words(url);
  const auto names = ConnectionWords::pointers(words.names), values = ConnectionWords::pointers(words.values);
  handle_ = PQconnectdbParams(names.data(), values.data(), 0);
  if (handle_ == nullptr) throw failed("database", "out of memory");
  place_ = place_of(handle_);
  if (PQstatus(handle_) != CONNECTION_OK) {
    const std::string problem = first_line(PQerrorMessage(handle_));
    PQfinish(handle_);
    if (PQpingParams(names.data(), values.data(), 0) == PQPING_OK) {
      throw bad_input(place_, problem, "check user, database and password (PGPASSWORD or ~/.pgpass)");
    }
    throw failed(place_, problem, "check the address, and that the server is running");
  }
  PQsetNoticeProcessor(
      handle_, [](void*, const char*) {}, nullptr);
}

PostgresConnection::~PostgresConnection() { PQfinish(handle_); }

Error PostgresConnection::error(std::string_view what) const {
  const std::string problem = fmt::format("{}: {}", what, first_line(PQerrorMessage(handle_)));
  if (PQstatus(handle_) != CONNECTION_OK) {
    return failed(place_, problem, "the connection is lost; start the same command again when the server is back");
  }
  return failed(place_, problem);
}

PostgresResult PostgresConnection::checked(pg_result* handle) {
  PostgresResult result(handle);
  const ExecStatusType status = PQresultStatus(handle);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return result;
  const char* state = handle == nullptr ? nullptr : PQresultErrorField(handle, PG_DIAG_SQLSTATE);
  const bool not_allowed = state != nullptr && std::strcmp(state, "42501") == 0;
  const Error problem =
      not_allowed ? bad_input(place_, first_line(PQerrorMessage(handle_)),
                              "the user needs the right to create a schema (GRANT CREATE ON DATABASE ... TO ...)")
                  : error("cannot be used");
  rollback();
  throw problem;
}

PostgresResult PostgresConnection::run(const std::string& sql, const std::vector<PostgresValue>& values) {
  auto found = prepared_.find(sql);
  if (found == prepared_.end()) {
    const std::string name = fmt::format("s{}", prepared_.size());
    checked(PQprepare(handle_, name.c_str(), sql.c_str(), 0, nullptr));
    found = prepared_.emplace(sql, name).first;
  }
  std::vector<const char*> texts;
  std::vector<int> lengths, formats;
  for (const PostgresValue& value : values) {
    texts.push_back(value.text.c_str());
    lengths.push_back(static_cast<int>(value.text.size()));
    formats.push_back(value.is_bytes ? 1 : 0);
  }
  return checked(PQexecPrepared(handle_, found->second.c_str(), static_cast<int>(values.size()), texts.data(),
                                lengths.data(), formats.data(), 0));
}

void PostgresConnection::run_script(const std::string& sql) { checked(PQexec(handle_, sql.c_str())); }

void PostgresConnection::begin() {
  if (in_transaction_) return;
  run_script("BEGIN");
  in_transaction_ = true;
}

void PostgresConnection::commit() {
  if (!in_transaction_) return;
  run_script("COMMIT");
  in_transaction_ = false;
}

void PostgresConnection::rollback() noexcept {
  if (!in_transaction_) return;
  in_transaction_ = false;
  PQclear(PQexec(handle_, "ROLLBACK"));
}

}  // namespace kinglet
