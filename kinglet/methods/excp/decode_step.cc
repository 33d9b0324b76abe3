#include "kinglet/methods/excp/decode_step.h"

#include <mutex>
#include <set>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/parallel.h"
#include "kinglet/base/progress.h"

namespace kinglet::excp {
namespace {

// A piece that is decoded on its own.
struct Item {
  enum Kind { kParameter, kArray, kChunk } kind;
  std::size_t number;       // of the parameter, of the region, of the chunk
  std::size_t file = 0;     // kArray, kChunk
  std::uint64_t block = 0;  // kParameter, kArray
};

class StepWalk {
 public:
  StepWalk(const StepChain& chain, const Deliver& deliver)
      : chain_(chain), step_(chain.newest()), index_(step_.index()), deliver_(deliver) {}

  std::vector<Item> items(const Selection& selection) const {
    std::vector<Item> items;
    std::set<RegionRef> owned;
    for (std::size_t i = 0; i < index_.parameters.size(); ++i) {
      const StoredParameter& parameter = index_.parameters[i];
      bool wanted = !selection.parameter || selection.parameter(parameter);
      bool in_selected_file = false;
      for (const auto& region : parameter.regions) {
        if (!region) continue;
        owned.insert(*region);
        in_selected_file = in_selected_file || !selection.file || selection.file(index_.files[region->file]);
      }
      if (!wanted || !in_selected_file) continue;
      for (std::uint64_t block = 0; block < block_count(parameter.n); ++block) {
        items.push_back({Item::kParameter, i, 0, block});
      }
    }
    if (!selection.skeletons_and_other_arrays) return items;
    for (std::size_t file = 0; file < index_.files.size(); ++file) {
      const StoredFile& stored = index_.files[file];
      if (selection.file && !selection.file(stored)) continue;
      for (std::size_t region = 0; region < stored.regions.size(); ++region) {
        if (owned.contains({file, region})) continue;
        const std::uint64_t blocks = block_count(stored.regions[region].array->n);
        for (std::uint64_t block = 0; block < blocks; ++block) items.push_back({Item::kArray, region, file, block});
      }
      for (std::size_t chunk = 0; chunk < stored.chunks.size(); ++chunk)
        items.push_back({Item::kChunk, chunk, file, 0});
    }
    return items;
  }

  void decode(const Item& item) const {
    switch (item.kind) {
      case Item::kParameter:
        decode_parameter(index_.parameters[item.number], item.block);
        break;
      case Item::kArray:
        decode_array_region(step_, {item.file, item.number}, item.block, deliver_);
        break;
      case Item::kChunk:
        deliver_chunk(index_, item.file, item.number, chain_.chunk(chain_.last(), item.file, item.number), deliver_);
        break;
    }
  }

  std::uint64_t bytes(const Item& item) const {
    if (item.kind == Item::kChunk) return index_.files[item.file].chunks[item.number].size;
    if (item.kind == Item::kArray) {
      const StoredRegion& region = index_.region({item.file, item.number});
      return block_size(region.array->n, item.block) * item_size(region.dtype);
    }
    const StoredParameter& parameter = index_.parameters[item.number];
    std::uint64_t total = 0;
    for (const auto& region : parameter.regions) {
      if (region) total += block_size(parameter.n, item.block) * item_size(index_.region(*region).dtype);
    }
    return total;
  }

  Damage damage(const Item& item, const std::string& problem) const {
    Damage damage{problem, {}, item.block};
    if (item.kind == Item::kArray) damage.regions.push_back({item.file, item.number});
    if (item.kind != Item::kParameter) return damage;
    for (const auto& region : index_.parameters[item.number].regions) {
      if (region) damage.regions.push_back(*region);
    }
    return damage;
  }

 private:
  void decode_parameter(const StoredParameter& parameter, std::uint64_t block) const {
    std::vector<float> reference(parameter.has_reference ? block_size(parameter.n, block) : 0);
    if (parameter.has_reference && needs_parent(index_, parameter)) {
      if (chain_.size() < 2) throw bad_input(step_.where(), "a key frame refers to a parent", "the file is damaged");
      const StoredParameter* before = chain_.find(chain_.last() - 1, parameter.name);
      if (before == nullptr || before->n != parameter.n) {
        throw bad_input(step_.where(),
                        fmt::format("'{}' refers to a tensor that its parent does not have", parameter.name),
                        "the file is damaged");
      }
      chain_.reference(chain_.last() - 1, parameter.name, block, reference);
    }
    decode_parameter_block(step_, parameter, block, reference, deliver_);
  }

  const StepChain& chain_;
  const StepFile& step_;
  const StepIndex& index_;
  const Deliver& deliver_;
};

}  // namespace

void decode_step(const StepChain& chain, const Selection& selection, const Deliver& deliver, const std::string& label,
                 const std::function<void(const Damage&)>& on_damage) {
  const StepWalk walk(chain, deliver);
  const std::vector<Item> items = walk.items(selection);
  std::uint64_t bytes = 0;
  for (const Item& item : items) bytes += walk.bytes(item);
  Progress progress(label, bytes, Progress::Unit::kBytes);
  std::mutex damage_mutex;
  parallel_for(static_cast<std::int64_t>(items.size()), [&](std::int64_t i) {
    check_interrupt();
    const Item& item = items[static_cast<std::size_t>(i)];
    try {
      walk.decode(item);
    } catch (const Error& error) {
      if (!on_damage || error.kind() != ErrorKind::kBadInput) throw;
      const std::lock_guard lock(damage_mutex);
      on_damage(walk.damage(item, error.what()));
    }
    progress.advance(walk.bytes(item));
  });
}

}  // namespace kinglet::excp
