#include "kinglet/llm/admission.h"

#include <algorithm>
#include <cmath>

namespace kinglet {

void Admission::Bucket::refill(Time now) {
  if (a_minute <= 0) return;
  if (filled == Time{}) {
    level = capacity();
  } else if (now > filled) {
    const double seconds = std::chrono::duration<double>(now - filled).count();
    level = std::min(capacity(), level + a_minute / 60 * seconds);
  }
  filled = std::max(filled, now);
}

// A call that is larger than the bucket goes when the bucket is full, and leaves it in debt.
bool Admission::Bucket::has(double amount) const {
  return a_minute <= 0 || level >= std::min(amount, capacity()) - 1e-9;
}

double Admission::Bucket::wait(double amount) const {
  if (has(amount)) return 0;
  return (std::min(amount, capacity()) - level) / (a_minute / 60);
}

Admission::Admission(AdmissionOptions options) : options_(options), limit_(std::max(1, options.max_in_flight)) {
  requests_.a_minute = options.requests_a_minute;
  tokens_.a_minute = options.tokens_a_minute;
}

bool Admission::may_send(Time now, std::int64_t tokens) {
  if (in_flight_ >= limit() || now < paused_until_) return false;
  requests_.refill(now);
  tokens_.refill(now);
  return requests_.has(1) && tokens_.has(static_cast<double>(tokens));
}

void Admission::sent(Time now, std::int64_t tokens) {
  requests_.refill(now);
  tokens_.refill(now);
  requests_.level -= 1;
  tokens_.level -= static_cast<double>(tokens);
  ++in_flight_;
}

void Admission::ended(std::int64_t reserved, std::int64_t used) {
  --in_flight_;
  tokens_.level = std::min(tokens_.capacity(), tokens_.level + static_cast<double>(reserved - used));
}

void Admission::succeeded() {
  reachable();
  if (++successes_ < options_.successes_a_step) return;
  successes_ = 0;
  limit_ = std::min<double>(limit_ + 1, std::max(1, options_.max_in_flight));
}

void Admission::throttled(Time now, Time sent_at, std::optional<std::chrono::milliseconds> retry_after) {
  paused_until_ = std::max(paused_until_, now + retry_after.value_or(options_.cool_down));
  if (last_cut_ != Time{} && sent_at <= last_cut_) return;
  last_cut_ = now;
  successes_ = 0;
  limit_ = std::max(1.0, std::floor(limit_ * options_.cut));
}

void Admission::unreachable(Time now, std::chrono::milliseconds pause) {
  if (!unreachable_since_) unreachable_since_ = now;
  paused_until_ = std::max(paused_until_, now + pause);
}

void Admission::reachable() { unreachable_since_.reset(); }

void Admission::learn_limits(double requests_a_minute, double tokens_a_minute) {
  if (options_.requests_a_minute <= 0 && requests_a_minute >= 1) requests_.a_minute = requests_a_minute;
  if (options_.tokens_a_minute <= 0 && tokens_a_minute >= 1) tokens_.a_minute = tokens_a_minute;
}

std::optional<Admission::Time> Admission::next_chance(Time now, std::int64_t tokens) {
  if (in_flight_ >= limit()) return std::nullopt;
  requests_.refill(now);
  tokens_.refill(now);
  const double seconds = std::max(requests_.wait(1), tokens_.wait(static_cast<double>(tokens)));
  return std::max(paused_until_,
                  now + std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>(seconds)));
}

}  // namespace kinglet
