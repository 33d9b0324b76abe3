// CallLedger of a job that several processes share, on one machine or many: a schema of a PostgreSQL database.
//
// Each process that has the ledger open is a worker. It holds a session-level advisory lock, which the server frees by
// itself when the process or its machine dies; from then on the calls that it had claimed go to others, and those that
// it had sent are in doubt. A call is sent by the worker that claimed it. A call that failed is settled for all workers
// until none is left; the next start tries it again.
//
// Tables as in SqliteLedger, and `workers`. The connection must be one session: no pooler that shares it by
// transaction.
#pragma once

#include <string>

#include "kinglet/llm/call_ledger.h"
#include "kinglet/llm/postgres.h"

namespace kinglet {

class PostgresLedger final : public CallLedger {
 public:
  // Opens or creates the job (letters, digits, '_' and '-') in the database; see PostgresConnection for `url`. Raises
  // Error, among others (bad input) when the schema of that name is of another kind or version.
  PostgresLedger(const std::string& url, const std::string& job);
  ~PostgresLedger() override;  // what was not committed is lost; the worker is dead

  void check_fingerprint(std::string_view text) override;
  std::optional<LedgerEntry> find(const std::string& key) override;
  void sent(const std::string& key, std::string_view slot, std::string_view role, int attempt,
            std::int64_t reserved_tokens) override;
  void attempt_ended(const std::string& key, int attempt, std::string_view outcome, bool doubtful) override;
  void answered(const std::string& key, int attempt, int status, std::string_view body) override;
  void failed(const std::string& key, int attempt, int status, std::string_view error, std::string_view body,
              bool doubtful) override;
  void commit() override { connection_.commit(); }
  bool has_space() override { return true; }  // that of the server is not ours to know
  LedgerSummary summary() override;

  bool shared() const override { return true; }
  std::vector<Claim> claim(const std::vector<std::string>& keys, bool in_doubt_too) override;
  void release(const std::string& key) override;
  std::vector<std::string> free_of(const std::vector<std::string>& keys) override;

  std::int64_t worker() const { return worker_; }

 private:
  void open_schema(const std::string& schema);
  void become_worker(const std::string& schema);

  PostgresConnection connection_;
  std::string place_;
  std::int64_t worker_ = 0;
  std::int64_t session_ = 0;  // of the job: a new one when a worker comes and no other lives
};

}  // namespace kinglet
