// Which connections have something to do: told by any thread, taken by the one that waits for the descriptor.
#pragma once

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include <sys/eventfd.h>
#include <unistd.h>

namespace kinglet {

// Thread-safe. Shared with the exchanges, which may outlive the server.
class WakeList {
 public:
  WakeList() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~WakeList() { ::close(descriptor_); }
  WakeList(const WakeList&) = delete;
  WakeList& operator=(const WakeList&) = delete;

  int descriptor() const { return descriptor_; }
  void add(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    const bool first = ids_.empty();
    if (first || ids_.back() != id) ids_.push_back(id);
    if (!first) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(descriptor_, &one, sizeof(one));
  }
  std::vector<std::uint64_t> take() {
    const std::lock_guard lock(mutex_);
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(descriptor_, &count, sizeof(count));
    return std::exchange(ids_, {});
  }

 private:
  int descriptor_;
  std::mutex mutex_;
  std::vector<std::uint64_t> ids_;
};

}  // namespace kinglet
