// The durable memory of a run: what was sent, what came back. It makes a run resumable without paying twice unmarked.
//
// The order of a call: sent() and commit() before a byte leaves; answered() and commit() before the body is looked at.
// A call that was sent and has no end in the ledger is in doubt: the process died in between, and the provider may have
// billed it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kinglet {

struct LedgerEntry {
  enum class State { kSent, kAnswered, kFailed };
  State state = State::kSent;
  int attempts = 0;
  int doubtful = 0;  // attempts that may have been billed without an answer
  int status = 0;
  std::string body;   // of the answer, as it came (keys removed)
  std::string error;  // of a failure
};

struct LedgerSummary {
  std::int64_t answered = 0, failed = 0, in_doubt = 0;
  std::int64_t attempts = 0;
  std::int64_t resent_in_doubt = 0;  // attempts made after one that may have been billed
};

class CallLedger {
 public:
  virtual ~CallLedger() = default;

  virtual std::optional<LedgerEntry> find(const std::string& key) = 0;

  // Changes are kept until commit(), which makes all of them durable together. Each raises Error (failed) when it
  // cannot.
  virtual void sent(const std::string& key, std::string_view slot, std::string_view role, int attempt,
                    std::int64_t reserved_tokens) = 0;
  // This attempt is over and the call goes on. `outcome`: a word; `doubtful`: it may have been billed.
  virtual void attempt_ended(const std::string& key, int attempt, std::string_view outcome, bool doubtful) = 0;
  virtual void answered(const std::string& key, int attempt, int status, std::string_view body) = 0;
  virtual void failed(const std::string& key, int attempt, int status, std::string_view error, std::string_view body,
                      bool doubtful) = 0;
  virtual void commit() = 0;

  // Whether there is room for the answers of calls that are still to be sent; asked before each group of them.
  virtual bool has_space() = 0;
  virtual LedgerSummary summary() = 0;
};

}  // namespace kinglet
