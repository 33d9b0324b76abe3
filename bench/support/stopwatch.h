// Timing for the programs in bench/. One-core figures use the processor time of this process: other programs on the
// machine disturb it least, and it counts what a core was really busy with.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <functional>
#include <vector>

namespace kinglet::bench {

struct Seconds {
  double wall = 0;
  double cpu = 0;  // of all threads of this process
};

inline double cpu_now() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

inline Seconds seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  const double cpu = cpu_now();
  body();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), cpu_now() - cpu};
}

inline double median(std::vector<double> values) {
  const std::size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle), values.end());
  return values[middle];
}

// Median processor time of several calls.
inline double cpu_seconds_of(const std::function<void()>& body, int repeats = 5) {
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) seconds.push_back(seconds_of(body).cpu);
  return median(std::move(seconds));
}

}  // namespace kinglet::bench
