#include "kinglet/llm/postgres_ledger.h"

#include <algorithm>

#include <unistd.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

constexpr int kJobVersion = 1;
constexpr std::size_t kLongestJobName = 48;  // with its prefix it must fit an identifier

// State 0: claimed and not under way. Worker 0: of nobody. Long bodies are compressed by the server.
constexpr char kJobSchema[] =
    "CREATE TABLE facts(name text PRIMARY KEY, value text NOT NULL);"
    "CREATE TABLE workers(id serial PRIMARY KEY, started_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
    " host text NOT NULL, pid integer NOT NULL);"
    "CREATE TABLE calls(key text PRIMARY KEY, slot text NOT NULL DEFAULT '', role text NOT NULL DEFAULT '',"
    " state smallint NOT NULL DEFAULT 0, status integer NOT NULL DEFAULT 0, error text NOT NULL DEFAULT '',"
    " body bytea NOT NULL DEFAULT '', worker integer NOT NULL, session integer NOT NULL DEFAULT 0);"
    "CREATE TABLE attempts(key text NOT NULL, number integer NOT NULL, worker integer NOT NULL,"
    " sent_at timestamptz NOT NULL, ended_at timestamptz, reserved_tokens bigint NOT NULL,"
    " outcome text NOT NULL DEFAULT '', doubtful boolean NOT NULL DEFAULT false, PRIMARY KEY(key, number));"
    // A worker's row and its lock come with one transaction, so whoever sees the row sees the lock.
    "CREATE VIEW dead_workers AS SELECT id AS worker FROM workers WHERE id NOT IN"
    " (SELECT objid::bigint::integer FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
    "  AND classid = hashtext(current_schema())::oid"
    "  AND database = (SELECT oid FROM pg_database WHERE datname = current_database()));";

// Whether a row of `calls` is with another worker that lives; $1 is this one.
constexpr char kElsewhereTest[] =
    "(state IN (0, 1) AND worker NOT IN (0, $1) AND worker NOT IN (SELECT worker FROM dead_workers))";

constexpr char kClaimCalls[] =
    "WITH asked AS (SELECT unnest($2::text[]) AS key),"
    " fresh AS (INSERT INTO calls(key, worker) SELECT key, $1 FROM asked ON CONFLICT DO NOTHING RETURNING key),"
    " free AS (SELECT key FROM calls WHERE key = ANY($2::text[]) AND ((state = 3 AND session < $3) OR"
    "  ((state = 0 OR (state = 1 AND $4)) AND (worker IN (0, $1) OR worker IN (SELECT worker FROM dead_workers))))"
    "  FOR UPDATE SKIP LOCKED),"
    " taken AS (UPDATE calls SET worker = $1, state = CASE WHEN state = 1 THEN 1 ELSE 0 END FROM free"
    "  WHERE calls.key = free.key RETURNING calls.key)"
    "SELECT key, true FROM fresh UNION ALL SELECT key, false FROM taken";

std::string schema_of(const std::string& job) {
  const bool known = !job.empty() && job.size() <= kLongestJobName && std::ranges::all_of(job, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!known) {
    throw bad_input("job", fmt::format("'{}' is no name for one", job),
                    fmt::format("use up to {} letters, digits, '_' and '-'", kLongestJobName));
  }
  return "kinglet_" + job;
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? printable(name) : "";
}

}  // namespace

PostgresLedger::PostgresLedger(const std::string& url, const std::string& job) : connection_(url) {
  const std::string schema = schema_of(job);
  place_ = fmt::format("job '{}' in {}", job, connection_.place());
  connection_.run_script(
      "SET synchronous_commit = on; SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 5;"
      "SET tcp_keepalives_count = 4");
  connection_.begin();
  // One worker at a time opens or leaves behind a job.
  connection_.run("SELECT pg_advisory_xact_lock(hashtext($1))", {schema});
  open_schema(schema);
  become_worker(schema);
  connection_.commit();
}

// The server ends a closed session in its own time; who starts again at once should not meet itself.
PostgresLedger::~PostgresLedger() {
  try {
    connection_.rollback();
    connection_.run_script("SELECT pg_advisory_unlock_all()");
  } catch (const Error&) {
    // The connection is lost, and the lock with it.
  }
}

void PostgresLedger::open_schema(const std::string& schema) {
  const bool there = connection_.run("SELECT 1 FROM pg_namespace WHERE nspname = $1", {schema}).rows() > 0;
  if (!there) connection_.run_script(fmt::format("CREATE SCHEMA \"{}\"", schema));
  connection_.run_script(fmt::format("SET search_path TO \"{}\"", schema));
  if (!there) {
    connection_.run_script(kJobSchema);
    connection_.run("INSERT INTO facts VALUES('version', $1), ('session', '0')", {kJobVersion});
    return;
  }
  if (!connection_.run("SELECT to_regclass('facts') IS NOT NULL").boolean(0, 0)) {
    throw bad_input(place_, fmt::format("its schema '{}' holds something else", schema), "use another job name");
  }
  const PostgresResult version = connection_.run("SELECT value FROM facts WHERE name = 'version'");
  if (version.rows() == 0 || version.integer(0, 0) != kJobVersion) {
    throw bad_input(place_,
                    fmt::format("has version {} of the format; this program knows {}",
                                version.rows() == 0 ? "?" : printable(version.text(0, 0)), kJobVersion),
                    "use the program that made it, or another job name");
  }
}

void PostgresLedger::become_worker(const std::string& schema) {
  const bool alone =
      connection_.run("SELECT count(*) FROM workers WHERE id NOT IN (SELECT worker FROM dead_workers)").integer(0, 0) ==
      0;
  if (alone) {
    connection_.run("UPDATE facts SET value = (value::integer + 1)::text WHERE name = 'session'");
  }
  session_ = connection_.run("SELECT value FROM facts WHERE name = 'session'").integer(0, 0);
  worker_ = connection_
                .run("INSERT INTO workers(host, pid) VALUES($1, $2) RETURNING id",
                     {host_name(), static_cast<std::int64_t>(getpid())})
                .integer(0, 0);
  connection_.run("SELECT pg_advisory_lock(hashtext($1), $2)", {schema, worker_});
}

void PostgresLedger::check_fingerprint(std::string_view text) {
  connection_.run("INSERT INTO facts VALUES('fingerprint', $1) ON CONFLICT DO NOTHING", {text});
  if (connection_.run("SELECT value FROM facts WHERE name = 'fingerprint'").text(0, 0) == text) return;
  throw bad_input(place_, "belongs to a run with another configuration",
                  "use the same configuration on all machines, or another job name");
}

std::optional<LedgerEntry> PostgresLedger::find(const std::string& key) {
  static const std::string sql = fmt::format(
      "SELECT state, status, error, body, session >= $3, {}, (SELECT count(*) FROM attempts a WHERE a.key = c.key),"
      " (SELECT count(*) FROM attempts a WHERE a.key = c.key AND doubtful) FROM calls c WHERE key = $2",
      kElsewhereTest);
  const PostgresResult row = connection_.run(sql, {worker_, key, session_});
  if (row.rows() == 0) return std::nullopt;
  LedgerEntry entry;
  const std::int64_t state = row.integer(0, 0);
  entry.state = row.boolean(0, 5) ? LedgerEntry::State::kElsewhere
                : state == 1      ? LedgerEntry::State::kSent
                : state == 2      ? LedgerEntry::State::kAnswered
                                  : LedgerEntry::State::kFailed;
  entry.settled = state == 3 && row.boolean(0, 4);
  entry.status = static_cast<int>(row.integer(0, 1));
  entry.error = row.text(0, 2);
  entry.body = row.bytes(0, 3);
  entry.attempts = static_cast<int>(row.integer(0, 6));
  entry.doubtful = static_cast<int>(row.integer(0, 7));
  return entry;
}

void PostgresLedger::sent(const std::string& key, std::string_view slot, std::string_view role, int attempt,
                          std::int64_t reserved_tokens) {
  connection_.begin();
  const PostgresResult result = connection_.run(
      "WITH call AS (INSERT INTO calls(key, slot, role, state, worker) VALUES($2, $3, $4, 1, $1) ON CONFLICT(key)"
      " DO UPDATE SET state = 1, slot = $3, role = $4, worker = $1 WHERE calls.worker IN (0, $1) RETURNING key)"
      "INSERT INTO attempts(key, number, worker, sent_at, reserved_tokens)"
      " SELECT key, $5, $1, clock_timestamp(), $6 FROM call"
      " ON CONFLICT(key, number) DO UPDATE SET worker = $1, sent_at = clock_timestamp(), ended_at = NULL,"
      " reserved_tokens = $6, outcome = '', doubtful = false",
      {worker_, key, printable(slot), role, attempt, reserved_tokens});
  if (result.changed_rows() == 1) return;
  connection_.rollback();
  throw kinglet::failed(place_, fmt::format("the call {} is with another worker", key));
}

// Also of an answer without a reply that a dead worker left: then the call may be claimed.
void PostgresLedger::attempt_ended(const std::string& key, int attempt, std::string_view outcome, bool doubtful) {
  connection_.begin();
  connection_.run(
      "WITH call AS (UPDATE calls SET state = 0, status = 0, error = $4, body = '' WHERE key = $2 AND (worker = $1 OR"
      "  (state = 2 AND worker IN (SELECT worker FROM dead_workers)"
      "   AND $3 = (SELECT max(number) FROM attempts WHERE key = $2))) RETURNING key)"
      "UPDATE attempts SET ended_at = clock_timestamp(), outcome = $4, doubtful = $5 FROM call"
      " WHERE attempts.key = call.key AND number = $3",
      {worker_, key, attempt, outcome, doubtful});
}

void PostgresLedger::answered(const std::string& key, int attempt, int status, std::string_view body) {
  connection_.begin();
  connection_.run(
      "WITH call AS (UPDATE calls SET state = 2, status = $4, error = '', body = $5 WHERE key = $2 AND worker = $1"
      " RETURNING key)"
      "UPDATE attempts SET ended_at = clock_timestamp(), outcome = 'answered' FROM call"
      " WHERE attempts.key = call.key AND number = $3",
      {worker_, key, attempt, status, PostgresValue::binary(body)});
}

void PostgresLedger::failed(const std::string& key, int attempt, int status, std::string_view error,
                            std::string_view body, bool doubtful) {
  connection_.begin();
  connection_.run(
      "WITH call AS (UPDATE calls SET state = 3, status = $4, error = $5, body = $6, session = $8"
      " WHERE key = $2 AND worker = $1 RETURNING key)"
      "UPDATE attempts SET ended_at = clock_timestamp(), outcome = 'failed', doubtful = $7 FROM call"
      " WHERE attempts.key = call.key AND number = $3",
      {worker_, key, attempt, status, printable(error), PostgresValue::binary(body), doubtful, session_});
}

std::vector<CallLedger::Claim> PostgresLedger::claim(const std::vector<std::string>& keys, bool in_doubt_too) {
  commit();
  // In one order everywhere: two workers that insert the same keys then wait for each other at most once.
  std::vector<std::string> ordered = keys;
  std::ranges::sort(ordered);
  const PostgresResult granted =
      connection_.run(kClaimCalls, {worker_, PostgresValue::list(ordered), session_, in_doubt_too});
  std::unordered_map<std::string, Claim> found;
  for (int i = 0; i < granted.rows(); ++i) {
    found[granted.text(i, 0)] = granted.boolean(i, 1) ? Claim::kNew : Claim::kTakenOver;
  }
  std::vector<Claim> result;
  for (const std::string& key : keys) result.push_back(found.contains(key) ? found[key] : Claim::kNo);
  return result;
}

void PostgresLedger::release(const std::string& key) {
  commit();
  connection_.run("UPDATE calls SET state = 0, worker = 0 WHERE key = $2 AND worker = $1", {worker_, key});
}

std::vector<std::string> PostgresLedger::free_of(const std::vector<std::string>& keys) {
  static const std::string sql =
      fmt::format("SELECT key FROM calls WHERE key = ANY($2::text[]) AND NOT {}", kElsewhereTest);
  commit();
  const PostgresResult rows = connection_.run(sql, {worker_, PostgresValue::list(keys)});
  std::vector<std::string> result;
  for (int i = 0; i < rows.rows(); ++i) result.push_back(rows.text(i, 0));
  return result;
}

LedgerSummary PostgresLedger::summary() {
  static const std::string sql = fmt::format(
      "SELECT count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3),"
      " count(*) FILTER (WHERE state = 1 AND NOT {}) FROM calls",
      kElsewhereTest);
  LedgerSummary summary;
  const PostgresResult calls = connection_.run(sql, {worker_});
  summary.answered = calls.integer(0, 0);
  summary.failed = calls.integer(0, 1);
  summary.in_doubt = calls.integer(0, 2);
  const PostgresResult attempts = connection_.run(
      "SELECT count(*), count(*) FILTER (WHERE EXISTS(SELECT 1 FROM attempts b WHERE b.key = a.key AND"
      " b.number < a.number AND b.doubtful)) FROM attempts a");
  summary.attempts = attempts.integer(0, 0);
  summary.resent_in_doubt = attempts.integer(0, 1);
  return summary;
}

}  // namespace kinglet
