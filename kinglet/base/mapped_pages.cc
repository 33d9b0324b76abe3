#include "kinglet/base/mapped_pages.h"

#include <algorithm>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace kinglet {
namespace {

struct Pages {
  char* begin = nullptr;
  std::size_t count = 0;
  std::size_t size = 0;  // of one

  std::size_t bytes() const { return count * size; }
};

Pages pages_of(ByteView part) {
  const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (part.empty()) return {nullptr, 0, size};
  const auto first = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t begin = first / size * size;
  return {reinterpret_cast<char*>(begin), (first + part.size() - begin + size - 1) / size, size};
}

}  // namespace

void advise_random(ByteView part) {
  const Pages pages = pages_of(part);
  if (pages.count > 0) ::madvise(pages.begin, pages.bytes(), MADV_RANDOM);
}

void bring_in(ByteView part) {
  const Pages pages = pages_of(part);
  if (pages.count == 0) return;
#ifdef MADV_POPULATE_READ
  if (::madvise(pages.begin, pages.bytes(), MADV_POPULATE_READ) == 0) return;
#endif
  ::madvise(pages.begin, pages.bytes(), MADV_WILLNEED);
}

double resident_fraction(ByteView part) {
  constexpr std::size_t kPagesAtOnce = 1 << 16;
  const Pages pages = pages_of(part);
  std::vector<unsigned char> present(std::min(pages.count, kPagesAtOnce));
  std::size_t resident = 0;
  for (std::size_t first = 0; first < pages.count; first += kPagesAtOnce) {
    const std::size_t count = std::min(kPagesAtOnce, pages.count - first);
    if (::mincore(pages.begin + first * pages.size, count * pages.size, present.data()) != 0) continue;
    for (std::size_t i = 0; i < count; ++i) resident += present[i] & 1U;
  }
  return pages.count == 0 ? 1.0 : static_cast<double>(resident) / static_cast<double>(pages.count);
}

}  // namespace kinglet
