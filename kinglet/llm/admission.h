// How fast one endpoint is called: an adaptive limit of calls in flight (AIMD), buckets of requests and tokens a
// minute, and a pause when the server cannot be reached. Time is a parameter: there are no clocks inside.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace kinglet {

struct AdmissionOptions {
  int max_in_flight = 64;                     // where the adaptive limit starts, and its cap
  double requests_a_minute = 0;               // 0: no limit known
  double tokens_a_minute = 0;                 // prompt and reply; 0: no limit known
  double cut = 0.75;                          // of the limit, at the first refusal of a burst
  int successes_a_step = 25;                  // so many raise the limit by one again
  std::chrono::milliseconds cool_down{2000};  // after a refusal that names no time
};

class Admission {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Admission(AdmissionOptions options);

  // Whether a call that may use so many tokens may be sent now.
  bool may_send(Time now, std::int64_t tokens);
  void sent(Time now, std::int64_t tokens);
  // A call is over that reserved `reserved` tokens and used `used`.
  void ended(std::int64_t reserved, std::int64_t used);

  void succeeded();
  // The server refused a call that was sent at `sent_at`. Refusals of calls sent before the last cut belong to the same
  // burst and do not cut again. No call is sent until the pause is over.
  void throttled(Time now, Time sent_at, std::optional<std::chrono::milliseconds> retry_after);
  // No connection: until one works again, calls go one at a time, the next one after `pause`.
  void unreachable(Time now, std::chrono::milliseconds pause);
  void reachable();

  // Limits that the server named; they hold where none was configured.
  void learn_limits(double requests_a_minute, double tokens_a_minute);

  // When may_send() may turn true by time alone; nothing when a call must end first.
  std::optional<Time> next_chance(Time now, std::int64_t tokens);

  int in_flight() const { return in_flight_; }
  int limit() const { return unreachable_since_ ? 1 : static_cast<int>(limit_); }
  std::optional<Time> unreachable_since() const { return unreachable_since_; }

 private:
  struct Bucket {
    double a_minute = 0;
    double level = 0;
    Time filled{};
    double capacity() const { return a_minute / 12; }  // five seconds' worth: servers count in windows
    void refill(Time now);
    bool has(double amount) const;
    // Seconds until has(amount).
    double wait(double amount) const;
  };

  AdmissionOptions options_;
  Bucket requests_, tokens_;
  double limit_;
  int in_flight_ = 0;
  int successes_ = 0;
  Time paused_until_{};
  Time last_cut_{};
  std::optional<Time> unreachable_since_;
};

}  // namespace kinglet
