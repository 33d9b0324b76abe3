#include "kinglet/text/word_cache.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace kinglet {

WordCache::WordCache() : places_(std::make_unique<Place[]>(kPlaces)) {}

WordCache::Place& WordCache::place_of(std::string_view word) {
  return places_[std::hash<std::string_view>()(word) % kPlaces];
}

bool WordCache::find(std::string_view word, std::vector<TokenId>& ids) {
  Place& place = place_of(word);
  if (place.busy.test_and_set(std::memory_order_acquire)) return false;
  const bool found =
      !word.empty() && place.word_bytes == word.size() && std::memcmp(place.word.data(), word.data(), word.size()) == 0;
  if (found) ids.insert(ids.end(), place.ids.begin(), place.ids.begin() + place.num_ids);
  place.busy.clear(std::memory_order_release);
  return found;
}

void WordCache::store(std::string_view word, const std::vector<TokenId>& ids, std::size_t from) {
  const std::size_t count = ids.size() - from;
  if (!takes(word) || count > kMostIds) return;
  Place& place = place_of(word);
  if (place.busy.test_and_set(std::memory_order_acquire)) return;
  place.word_bytes = static_cast<std::uint8_t>(word.size());
  place.num_ids = static_cast<std::uint8_t>(count);
  std::memcpy(place.word.data(), word.data(), word.size());
  std::copy(ids.begin() + static_cast<std::ptrdiff_t>(from), ids.end(), place.ids.begin());
  place.busy.clear(std::memory_order_release);
}

}  // namespace kinglet
