#include "kinglet/methods/excp/reference_cache.h"

#include <algorithm>

#include "kinglet/base/hash.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/parallel.h"

namespace kinglet::excp {
namespace {

constexpr std::uint64_t kAlignment = 16;  // elements: a cache line

}  // namespace

ReferenceCache::Layout ReferenceCache::layout_of(const StepIndex& index) {
  Layout layout;
  std::uint64_t offset = 0;
  for (const StoredParameter& parameter : index.parameters) {
    if (!parameter.has_reference) continue;
    layout.push_back({parameter.name, offset, parameter.n});
    offset += (parameter.n + kAlignment - 1) / kAlignment * kAlignment;
  }
  return layout;
}

void ReferenceCache::open(Layout layout, const std::filesystem::path& path) {
  const std::uint64_t elements =
      layout.empty() ? 0 : (layout.back().offset + layout.back().n + kAlignment - 1) / kAlignment * kAlignment;
  map_ = WritableMap(path, elements * sizeof(float));
  layout_ = std::move(layout);
  by_name_.clear();
  for (std::size_t i = 0; i < layout_.size(); ++i) by_name_.emplace(layout_[i].name, i);
}

void ReferenceCache::load(const StepChain& chain) {
  const StepIndex& index = chain.newest().index();
  Layout layout = layout_of(index);
  if (layout != layout_ || map_.bytes().empty()) open(std::move(layout), path_);
  struct Item {
    const StoredParameter* parameter;
    std::uint64_t block;
  };
  std::vector<Item> items;
  for (const StoredParameter& parameter : index.parameters) {
    if (!parameter.has_reference) continue;
    for (std::uint64_t block = 0; block < block_count(parameter.n); ++block) items.push_back({&parameter, block});
  }
  parallel_for(static_cast<std::int64_t>(items.size()), [&](std::int64_t i) {
    check_interrupt();
    const auto& [parameter, block] = items[static_cast<std::size_t>(i)];
    const std::span<float> values =
        of(parameter->name).subspan(block * kBlockElements, block_size(parameter->n, block));
    if (xxh3(std::as_bytes(values)) == reference_hash(index, *parameter, block)) return;
    chain.reference(chain.last(), parameter->name, block, values);
  });
}

void ReferenceCache::change_layout(const StepIndex& index) {
  Layout layout = layout_of(index);
  if (layout == layout_) return;
  ReferenceCache next(path_);
  std::filesystem::path temporary = path_;
  temporary += ".next";
  std::filesystem::remove(temporary);
  next.open(std::move(layout), temporary);
  for (const Place& place : next.layout_) {
    const std::span<float> old = of(place.name);
    if (old.size() == place.n) std::copy(old.begin(), old.end(), next.of(place.name).begin());
  }
  std::filesystem::rename(temporary, path_);
  *this = std::move(next);
}

std::span<float> ReferenceCache::of(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return {};
  const Place& place = layout_[found->second];
  return {reinterpret_cast<float*>(map_.bytes().data()) + place.offset, place.n};
}

}  // namespace kinglet::excp
