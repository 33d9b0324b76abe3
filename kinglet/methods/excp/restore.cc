#include "kinglet/methods/excp/restore.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <memory>

#include "kinglet/base/atomic_folder.h"
#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/parallel.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/methods/excp/decode_step.h"

namespace kinglet::excp {
namespace {

namespace fs = std::filesystem;

bool holds_only_state(const std::string& name) {
  const std::string base = fs::path(name).filename().string();
  for (const std::string_view prefix : {"optimizer", "scheduler", "scaler", "rng_state", "random_states", "sampler"}) {
    if (base.starts_with(prefix)) return true;
  }
  return false;
}

class Restorer {
 public:
  Restorer(const StepChain& chain, const fs::path& folder, const GetOptions& options)
      : chain_(chain), index_(chain.newest().index()), folder_(folder), options_(options) {}

  std::vector<std::string> write_files(const std::vector<bool>& wanted) {
    create_files(wanted);
    Selection selection;
    selection.file = [&](const StoredFile& file) { return files_[number_of(file)] != nullptr; };
    decode(selection, [&](std::size_t file, std::uint64_t offset, ByteView bytes, bool) {
      if (files_[file]) files_[file]->write_at(offset, bytes);
    });
    if (index_.lossy || !problems_.empty()) update_checksums();
    for (const auto& file : files_) {
      if (file) file->commit();
    }
    return problems_;
  }

  // The parameters for which `wanted` holds, with or without their moments, as one safetensors file.
  std::vector<std::string> write_tensors(const fs::path& path, bool moments,
                                         const std::function<bool(const StoredParameter&)>& wanted) {
    std::vector<TensorView> views;
    std::map<RegionRef, Bytes> content;
    static constexpr std::string_view kSuffix[] = {"", ".exp_avg", ".exp_avg_sq", ".max_exp_avg_sq"};
    for (const StoredParameter& parameter : index_.parameters) {
      if (!wanted(parameter)) continue;
      for (std::size_t stream = 0; stream <= (moments ? kMaxSecond : kWeight); ++stream) {
        if (!parameter.regions[stream]) continue;
        const RegionRef ref = *parameter.regions[stream];
        Bytes& bytes = content[ref];
        bytes.resize(index_.region(ref).bytes);
        views.push_back(
            {fmt::format("{}{}", parameter.name, kSuffix[stream]), index_.region(ref).dtype, parameter.shape, bytes});
      }
    }
    const auto region_at = [&](std::size_t file, std::uint64_t offset) {
      const auto& regions = index_.files[file].regions;
      const auto after =
          std::upper_bound(regions.begin(), regions.end(), offset,
                           [](std::uint64_t at, const StoredRegion& region) { return at < region.offset; });
      return RegionRef{file, static_cast<std::size_t>(after - regions.begin()) - 1};
    };
    decode({{}, wanted, false}, [&](std::size_t file, std::uint64_t offset, ByteView bytes, bool) {
      const RegionRef ref = region_at(file, offset);
      const auto found = content.find(ref);
      if (found == content.end()) return;
      std::copy(bytes.begin(), bytes.end(),
                found->second.begin() + static_cast<std::ptrdiff_t>(offset - index_.region(ref).offset));
    });
    write_safetensors(path, views);
    return problems_;
  }

 private:
  std::size_t number_of(const StoredFile& file) const { return static_cast<std::size_t>(&file - index_.files.data()); }

  void create_files(const std::vector<bool>& wanted) {
    files_.resize(index_.files.size());
    for (std::size_t i = 0; i < index_.files.size(); ++i) {
      if (!wanted[i]) continue;
      const fs::path path = join_untrusted(folder_, index_.files[i].name);
      fs::create_directories(path.parent_path());
      files_[i] = std::make_unique<AtomicFile>(path);
      files_[i]->resize(index_.files[i].size);
    }
  }

  void decode(const Selection& selection, const Deliver& deliver) {
    std::function<void(const Damage&)> on_damage;
    if (options_.salvage) on_damage = [&](const Damage& damage) { fill(damage, deliver); };
    try {
      decode_step(chain_, selection, deliver, fmt::format("restoring step {}", index_.step), on_damage);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kBadInput) throw;
      // Not the user's mistake: the store is damaged.
      throw failed(fmt::format("step {}", index_.step), error.what(),
                   "'kinglet ckpt verify' lists the usable steps; --salvage restores what is left of this one");
    }
  }

  // Salvage: what cannot be decoded becomes NaN, or 0 where there is no NaN.
  void fill(const Damage& damage, const Deliver& deliver) {
    problems_.push_back(damage.problem);
    for (const RegionRef ref : damage.regions) {
      const StoredRegion& region = index_.region(ref);
      const std::size_t item = item_size(region.dtype);
      const std::uint64_t n = block_size(region.bytes / item, damage.block);
      Bytes filler(n * item);
      if (is_number_array(region.dtype)) {
        const std::vector<float> nan(n, std::numeric_limits<float>::quiet_NaN());
        store_f32(nan.data(), n, region.dtype, filler.data());
      }
      deliver(ref.file, region.offset + damage.block * kBlockElements * item, filler, false);
    }
  }

  // The archives' own CRCs of arrays whose bytes changed.
  void update_checksums() {
    parallel_for(static_cast<std::int64_t>(files_.size()), [&](std::int64_t i) {
      const auto number = static_cast<std::size_t>(i);
      const StoredFile& file = index_.files[number];
      if (!files_[number] || file.checksums.empty()) return;
      const MappedFile written(files_[number]->temporary_path());
      std::uint32_t crc = 0;
      for (std::size_t c = 0; c < file.checksums.size(); ++c) {
        const StoredRegion& region = file.regions[file.checksums[c].region];
        // Neighbours usually name the same region: its CRC stands at several places.
        if (c == 0 || file.checksums[c].region != file.checksums[c - 1].region) {
          crc = crc32(written.bytes().subspan(region.offset, region.bytes));
        }
        files_[number]->write_at(file.checksums[c].offset, std::as_bytes(std::span(&crc, 1)));
      }
    });
  }

  const StepChain& chain_;
  const StepIndex& index_;
  fs::path folder_;
  const GetOptions& options_;
  std::vector<std::unique_ptr<AtomicFile>> files_;
  std::vector<std::string> problems_;
};

// Files for --weights-only: those without moments and without the loop's other state.
std::vector<bool> weight_files(const StepIndex& index) {
  std::vector<bool> wanted(index.files.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = !holds_only_state(index.files[i].name);
  for (const StoredParameter& parameter : index.parameters) {
    for (std::size_t stream = kFirst; stream < kStreams; ++stream) {
      if (parameter.regions[stream]) wanted[parameter.regions[stream]->file] = false;
    }
  }
  return wanted;
}

bool all_weights_in(const StepIndex& index, const std::vector<bool>& files) {
  return std::all_of(index.parameters.begin(), index.parameters.end(),
                     [&](const StoredParameter& parameter) { return files[parameter.regions[kWeight]->file]; });
}

const StoredParameter& find_tensor(const StepIndex& index, const std::string& name) {
  for (const StoredParameter& parameter : index.parameters) {
    if (parameter.name == name) return parameter;
  }
  throw bad_input(name, fmt::format("step {} has no parameter of this name", index.step),
                  "see the names with 'kinglet ckpt info STORE --step N'");
}

}  // namespace

std::vector<std::string> restore_step(const StepChain& chain, const fs::path& out, const GetOptions& options) {
  if (fs::exists(fs::symlink_status(out))) throw bad_input(out.string(), "it exists already", "choose another name");
  const StepIndex& index = chain.newest().index();
  fs::path target = out;
  if (!target.has_filename()) target = target.parent_path();  // a trailing slash
  const StoredParameter* tensor = options.tensor.empty() ? nullptr : &find_tensor(index, options.tensor);
  const std::vector<bool> wanted =
      options.weights_only ? weight_files(index) : std::vector<bool>(index.files.size(), true);
  const bool extract = tensor != nullptr || (options.weights_only && !all_weights_in(index, wanted));

  AtomicFolder work(target);
  Restorer restorer(chain, work.temporary(), options);
  std::vector<std::string> problems;
  if (extract) {
    const fs::path file = work.temporary() / "model.safetensors";
    problems = restorer.write_tensors(file, tensor != nullptr, [&](const StoredParameter& parameter) {
      return tensor == nullptr || &parameter == tensor;
    });
    work.commit_only(file.filename());
  } else {
    if (!index.is_folder && index.files.size() != 1) {
      throw failed(chain.newest().where(), "it claims to be one file and holds several", "the file is damaged");
    }
    problems = restorer.write_files(wanted);
    if (index.is_folder)
      work.commit();
    else
      work.commit_only(index.files.front().name);
  }
  return problems;
}

}  // namespace kinglet::excp
