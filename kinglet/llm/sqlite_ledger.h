// CallLedger in one SQLite file with a write-ahead log; each commit() is on the disk when it returns.
//
// Tables: `calls` (one row a call: state, last status, the raw body of its answer, packed with zstd when long) and
// `attempts` (one row a request that was sent: when, how it ended, whether it may have been billed without an answer).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "kinglet/base/file_lock.h"
#include "kinglet/llm/call_ledger.h"

namespace kinglet {

class SqliteLedger final : public CallLedger {
 public:
  struct Options {
    // Nothing is sent when less than this is free on the disk, so that answers under way can still be saved.
    std::uint64_t reserve_bytes = std::uint64_t{64} << 20;
  };

  // Opens or creates `path`. Raises Error: failed when another process has it open, bad input for another kind of file.
  explicit SqliteLedger(const std::filesystem::path& path);
  SqliteLedger(const std::filesystem::path& path, Options options);
  ~SqliteLedger() override;  // what was not committed is lost

  void check_fingerprint(std::string_view text) override;
  std::optional<LedgerEntry> find(const std::string& key) override;
  void sent(const std::string& key, std::string_view slot, std::string_view role, int attempt,
            std::int64_t reserved_tokens) override;
  void attempt_ended(const std::string& key, int attempt, std::string_view outcome, bool doubtful) override;
  void answered(const std::string& key, int attempt, int status, std::string_view body) override;
  void failed(const std::string& key, int attempt, int status, std::string_view error, std::string_view body,
              bool doubtful) override;
  void commit() override;
  bool has_space() override;
  LedgerSummary summary() override;

 private:
  struct Database;
  void begin();
  void end_attempt(const std::string& key, int attempt, std::string_view outcome, bool doubtful);
  void end_call(const std::string& key, int state, int status, std::string_view error, std::string_view body);

  FileLock lock_;
  Options options_;
  std::unique_ptr<Database> database_;
  bool in_transaction_ = false;
};

}  // namespace kinglet
