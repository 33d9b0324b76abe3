#include "kinglet/methods/excp/verify.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <set>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/parallel.h"
#include "kinglet/base/progress.h"
#include "kinglet/methods/excp/decode_step.h"

namespace kinglet::excp {
namespace {

void ignore(std::size_t, std::uint64_t, ByteView, bool) {}

// The steps of a chain are walked together, block by block, so that each block of a delta is decoded once.
class ChainVerifier {
 public:
  explicit ChainVerifier(const StepChain& chain) : chain_(chain) {}

  std::map<std::int64_t, std::string> run() {
    std::vector<std::function<void()>> items = parameter_items();
    append_other_items(items);
    Progress progress("verifying", items.size());
    parallel_for(static_cast<std::int64_t>(items.size()), [&](std::int64_t i) {
      check_interrupt();
      items[static_cast<std::size_t>(i)]();
      progress.advance(1);
    });
    return problems_;
  }

 private:
  const StepIndex& index(std::size_t link) const { return chain_.file(link).index(); }

  // One item for each block of each name that any step has a parameter of.
  std::vector<std::function<void()>> parameter_items() {
    std::map<std::string_view, std::uint64_t> largest;
    for (std::size_t link = 0; link < chain_.size(); ++link) {
      for (const StoredParameter& parameter : index(link).parameters) {
        std::uint64_t& n = largest[parameter.name];
        n = std::max(n, parameter.n);
      }
    }
    std::vector<std::function<void()>> items;
    for (const auto& [name, n] : largest) {
      for (std::uint64_t block = 0; block < block_count(n); ++block) {
        items.emplace_back([this, name = name, block] { verify_parameter_block(name, block); });
      }
    }
    return items;
  }

  void verify_parameter_block(std::string_view name, std::uint64_t block) {
    std::vector<float> reference;
    const StoredParameter* before = nullptr;  // whose reference is in `reference`; nothing when it is not usable
    for (std::size_t link = 0; link < chain_.size(); ++link) {
      const StoredParameter* parameter = chain_.find(link, name);
      const bool usable = before != nullptr && parameter != nullptr && before->n == parameter->n;
      before = nullptr;
      if (parameter == nullptr || block >= block_count(parameter->n)) continue;
      guarded(link, [&] {
        if (needs_parent(index(link), *parameter) && !usable) {
          throw bad_input(fmt::format("{}, {}", chain_.file(link).where(), name),
                          "it needs an earlier step that is damaged");
        }
        reference.resize(block_size(parameter->n, block));
        decode_parameter_block(chain_.file(link), *parameter, block, reference, ignore);
        before = parameter;
      });
    }
  }

  void append_other_items(std::vector<std::function<void()>>& items) {
    for (std::size_t link = 0; link < chain_.size(); ++link) {
      std::set<RegionRef> owned;
      for (const StoredParameter& parameter : index(link).parameters) {
        if (!parameter.has_reference) append_plain_parameter(link, parameter, items);
        for (const auto& region : parameter.regions) {
          if (region) owned.insert(*region);
        }
      }
      append_files(link, owned, items);
    }
  }

  void append_plain_parameter(std::size_t link, const StoredParameter& parameter,
                              std::vector<std::function<void()>>& items) {
    for (std::uint64_t block = 0; block < block_count(parameter.n); ++block) {
      items.emplace_back([this, link, &parameter, block] {
        guarded(link, [&] { decode_parameter_block(chain_.file(link), parameter, block, {}, ignore); });
      });
    }
  }

  void append_files(std::size_t link, const std::set<RegionRef>& owned, std::vector<std::function<void()>>& items) {
    const auto& files = index(link).files;
    for (std::size_t file = 0; file < files.size(); ++file) {
      for (std::size_t region = 0; region < files[file].regions.size(); ++region) {
        if (owned.contains({file, region})) continue;
        for (std::uint64_t block = 0; block < block_count(files[file].regions[region].array->n); ++block) {
          items.emplace_back([this, link, file, region, block] {
            guarded(link, [&] { decode_array_region(chain_.file(link), {file, region}, block, ignore); });
          });
        }
      }
      for (std::size_t chunk = 0; chunk < files[file].chunks.size(); ++chunk) {
        items.emplace_back([this, link, file, chunk] { guarded(link, [&] { chain_.chunk(link, file, chunk); }); });
      }
    }
  }

  template <typename Body>
  void guarded(std::size_t link, const Body& body) {
    try {
      body();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInterrupted) throw;
      const std::lock_guard lock(mutex_);
      problems_.emplace(index(link).step, error.what());
    }
  }

  const StepChain& chain_;
  std::mutex mutex_;
  std::map<std::int64_t, std::string> problems_;
};

}  // namespace

std::map<std::int64_t, std::string> verify_chain(const StepChain& chain) { return ChainVerifier(chain).run(); }

void verify_against(const StepChain& chain, const Checkpoint& checkpoint) {
  const Deliver compare = [&](std::size_t file, std::uint64_t offset, ByteView bytes, bool exact) {
    if (!exact) return;
    const FileLayout& layout = checkpoint.files()[file];
    const ByteView original = checkpoint.bytes(layout).subspan(offset, bytes.size());
    if (std::equal(bytes.begin(), bytes.end(), original.begin())) return;
    throw failed((checkpoint.path() / layout.name).string(),
                 fmt::format("what was stored differs from the file near byte {}", offset),
                 "the file changed while it was read; add it again when training has finished writing");
  };
  decode_step(chain, {}, compare, fmt::format("verifying step {}", chain.newest().index().step));
}

}  // namespace kinglet::excp
