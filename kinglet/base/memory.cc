#include "kinglet/base/memory.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

#include <malloc.h>
#include <unistd.h>

namespace kinglet {
namespace {

namespace fs = std::filesystem;

// Files of the kernel have no size that a mapping could take.
std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return std::move(text).str();
}

std::uint64_t number_of(std::string_view text, std::uint64_t otherwise) {
  std::uint64_t value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// What the groups above this process still allow; files in the cache of a group can be dropped.
std::uint64_t available_of_groups() {
  constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
  const fs::path root = "/sys/fs/cgroup";
  const std::string groups = text_of("/proc/self/cgroup");
  const std::size_t at = groups.find("0::/");
  if (at == std::string::npos) return kNoLimit;
  const fs::path own = groups.substr(at + 4, groups.find('\n', at) - at - 4);
  std::uint64_t least = kNoLimit;
  for (fs::path group = own;; group = group.parent_path()) {
    const fs::path folder = root / group;
    const std::uint64_t limit = number_of(text_of(folder / "memory.max"), kNoLimit);  // "max": none
    if (limit != kNoLimit) {
      const std::uint64_t used = number_of(text_of(folder / "memory.current"), 0);
      const std::uint64_t files = memory_field(text_of(folder / "memory.stat"), "file ");
      const std::uint64_t taken = used - std::min(used, files);
      least = std::min(least, limit - std::min(limit, taken));
    }
    if (group.empty()) break;
  }
  return least;
}

}  // namespace

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

std::uint64_t machine_memory() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t available_memory() {
  const std::uint64_t available = memory_field(text_of("/proc/meminfo"), "MemAvailable:");
  return std::min(available == 0 ? machine_memory() : available, available_of_groups());
}

std::uint64_t memory_field(std::string_view text, std::string_view name) {
  for (std::size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    if (at > 0 && text[at - 1] != '\n') continue;
    std::string_view line = text.substr(at + name.size());
    line = line.substr(0, line.find('\n'));
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    return number_of(line, 0) * (line.ends_with(" kB") ? 1024 : 1);
  }
  return 0;
}

}  // namespace kinglet
