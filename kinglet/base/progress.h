// A progress bar on stderr with rate and ETA. Silent when stderr is not a terminal, and for the first half second.
// advance() is thread-safe and cheap; the bar is redrawn at most ten times a second.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace kinglet {

class Progress {
 public:
  enum class Unit { kItems, kBytes };

  Progress(std::string label, std::uint64_t total, Unit unit = Unit::kItems);
  ~Progress();  // erases the bar
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::uint64_t amount);
  void set_note(std::string note);  // short text behind the bar, for example the current loss
  void finish();                    // erases the bar early

  // One line as it would be drawn `elapsed_seconds` after the start; separate so that it can be tested.
  std::string render(double elapsed_seconds, int width) const;

 private:
  void draw();

  std::string label_;
  std::string note_;
  std::uint64_t total_;
  Unit unit_;
  bool visible_;
  bool drawn_ = false;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::int64_t> next_draw_ms_{500};
  std::chrono::steady_clock::time_point start_;
  mutable std::mutex mutex_;
};

// "1.5 GiB", "312 B": binary units, three significant digits.
std::string format_bytes(double bytes);
// "3 s", "2 min 05 s", "1 h 12 min".
std::string format_duration(double seconds);

}  // namespace kinglet
