// The durable memory of a run: what was sent, what came back. It makes a run resumable without paying twice unmarked.
//
// The order of a call: sent() and commit() before a byte leaves; answered() and commit() before the body is looked at.
// A call that was sent and has no end in the ledger is in doubt: the process died in between, and the provider may have
// billed it.
//
// A ledger may be shared by several processes, on several machines. Then a call is claimed before it is sent: one
// process gets it, the others wait until it is settled and take the answer from the ledger.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

struct LedgerEntry {
  enum class State {
    kSent,
    kAnswered,
    kFailed,     // or never sent: nothing is under way
    kElsewhere,  // another process, which lives, has it
  };
  State state = State::kSent;
  bool settled = false;  // failed, and the processes that share the ledger now all take it so
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

  // What decides the results of a run (prompts, models, seeds), as a text. The first call stores it; a later one with
  // another text raises Error (bad input): the run would mix results of two configurations.
  virtual void check_fingerprint(std::string_view text) = 0;

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

  // Whether other processes may work on the same calls. The rest is for such ledgers, and takes effect at once.
  virtual bool shared() const { return false; }
  enum class Claim { kNew, kTakenOver, kNo };
  // Asks for calls before they are sent; one answer a key. What was taken over has an entry; what was refused is
  // settled or has another process. `in_doubt_too`: also calls that a process sent that lives no more.
  virtual std::vector<Claim> claim(const std::vector<std::string>& keys, bool in_doubt_too) {
    static_cast<void>(in_doubt_too);
    return std::vector<Claim>(keys.size(), Claim::kNew);
  }
  // A claimed call is given up here without an end that holds for all: another process may send it.
  virtual void release(const std::string& key) { static_cast<void>(key); }
  // Those of the keys that no other living process has under way.
  virtual std::vector<std::string> free_of(const std::vector<std::string>& keys) { return keys; }
};

}  // namespace kinglet
