#include "kinglet/base/progress.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace kinglet {
namespace {

int terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return std::clamp<int>(size.ws_col, 40, 160);
}

}  // namespace

Progress::Progress(std::string label, std::uint64_t total, Unit unit)
    : label_(std::move(label)),
      total_(total),
      unit_(unit),
      visible_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { finish(); }

void Progress::advance(std::uint64_t amount) {
  done_.fetch_add(amount, std::memory_order_relaxed);
  if (!visible_) return;
  const auto now = std::chrono::steady_clock::now() - start_;
  const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  std::int64_t due = next_draw_ms_.load(std::memory_order_relaxed);
  if (now_ms >= due && next_draw_ms_.compare_exchange_strong(due, now_ms + 100)) draw();
}

void Progress::set_note(std::string note) {
  const std::lock_guard lock(mutex_);
  note_ = std::move(note);
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
  visible_ = false;
}

void Progress::draw() {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  const std::string line = render(elapsed.count(), terminal_width() - 1);
  const std::lock_guard lock(mutex_);
  if (!visible_) return;
  fmt::print(stderr, "\r{}\x1b[K", line);
  drawn_ = true;
}

std::string Progress::render(double elapsed_seconds, int width) const {
  const std::uint64_t done = done_.load(std::memory_order_relaxed);
  const double rate = elapsed_seconds > 0 ? static_cast<double>(done) / elapsed_seconds : 0;
  const double fraction = total_ > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) : 0;
  std::string tail = unit_ == Unit::kBytes ? fmt::format("{}/{} {}/s", format_bytes(static_cast<double>(done)),
                                                         format_bytes(static_cast<double>(total_)), format_bytes(rate))
                                           : fmt::format("{}/{} {:.3g}/s", done, total_, rate);
  if (rate > 0 && done < total_) tail += " ETA " + format_duration(static_cast<double>(total_ - done) / rate);
  {
    const std::lock_guard lock(mutex_);
    if (!note_.empty()) tail += " " + note_;
  }
  const int room = width - static_cast<int>(label_.size()) - static_cast<int>(tail.size()) - 9;
  std::string bar;
  if (room >= 8) {
    const int cells = std::min(room - 3, 40);
    const int filled = static_cast<int>(std::lround(fraction * cells));
    bar = fmt::format(" [{}{}]", std::string(static_cast<std::size_t>(filled), '#'),
                      std::string(static_cast<std::size_t>(cells - filled), '.'));
  }
  std::string line = fmt::format("{}{} {:3.0f} % {}", label_, bar, 100 * fraction, tail);
  if (width > 0 && line.size() > static_cast<std::size_t>(width)) line.resize(static_cast<std::size_t>(width));
  return line;
}

std::string format_bytes(double bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  while (std::abs(bytes) >= 1023.5 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{:.0f} B", bytes);
  const int decimals = std::abs(bytes) < 9.995 ? 2 : std::abs(bytes) < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", bytes, decimals, kUnits[unit]);
}

std::string format_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace kinglet
