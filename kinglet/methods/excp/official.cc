#include "kinglet/methods/excp/official.h"

#include <algorithm>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/io/checkpoint_copy.h"
#include "kinglet/io/number_array.h"
#include "kinglet/io/state_dicts.h"

namespace kinglet::excp {
namespace {

constexpr std::array<const char*, OfficialFile::kParts> kPartNames = {"weights", "opt_v", "opt_m"};

// 1, 2, 4 or 8 for 2^bits - 1 centres; 0 for any other number.
int bits_for(std::uint64_t centres) {
  for (const int bits : {1, 2, 4, 8}) {
    if (centres == (std::uint64_t{1} << bits) - 1) return bits;
  }
  return 0;
}

}  // namespace

OfficialFile::OfficialFile(const std::filesystem::path& path) : where_(path.string()), file_(TorchFile::open(path)) {
  const auto items = dict_items(file_.root());
  if (items.empty()) throw bad_input(where_, "is no dictionary of compressed tensors", "give a compressed.pt of ExCP");
  for (const auto& [key, entry] : items) {
    if (key->kind != PickleKind::kString) throw bad_input(where_, "has a key that is no tensor name");
    auto& parts = tensors_[key->text];
    for (const Part part : {kResidual, kFirstMoment, kSecondMoment}) {
      parts[part] = read_part(*entry, key->text, part);
    }
  }
}

OfficialFile::Coded OfficialFile::read_part(const PickleValue& entry, const std::string& name, Part part) const {
  const auto fail = [&](const std::string& what) {
    return bad_input(where_, fmt::format("tensor '{}': {}", name, what), "give a compressed.pt of ExCP");
  };
  const auto tensor = [&](const char* suffix) -> const TorchTensor* {
    const PickleValue* value = dict_find(&entry, fmt::format("{}_{}", kPartNames[part], suffix));
    if (value == nullptr) return nullptr;
    const TorchTensor* found = file_.tensor(value);
    if (found == nullptr) throw fail(fmt::format("{}_{} is no tensor", kPartNames[part], suffix));
    return found;
  };
  Coded coded;
  coded.values = tensor("i");
  if (coded.values == nullptr) throw fail(fmt::format("{}_i is missing", kPartNames[part]));
  file_.contiguous_bytes(*coded.values);  // raises when it is not
  const TorchTensor* centres = tensor("c");
  if (centres == nullptr) {
    if (!is_number_array(coded.values->dtype)) throw fail(fmt::format("{}_c is missing", kPartNames[part]));
    return coded;
  }
  coded.bits = bits_for(static_cast<std::uint64_t>(centres->numel()));
  if (coded.bits == 0 || !is_number_array(centres->dtype)) {
    throw fail(fmt::format("{}_c does not hold 1, 3, 15 or 255 centres", kPartNames[part]));
  }
  if (coded.values->dtype != DType::kU8) throw fail(fmt::format("{}_i is not uint8", kPartNames[part]));
  const NumberArray numbers{centres->dtype, file_.contiguous_bytes(*centres)};
  coded.table.assign(numbers.size() + 1, 0.0F);
  load_f32(numbers, 0, numbers.size(), coded.table.data() + 1);
  return coded;
}

std::vector<std::string> OfficialFile::names() const {
  std::vector<std::string> result;
  for (const auto& [name, parts] : tensors_) result.push_back(name);
  return result;
}

std::vector<float> OfficialFile::decode(const std::string& name, Part part, std::uint64_t n) const {
  const Coded& coded = tensors_.at(name)[part];
  const ByteView bytes = file_.contiguous_bytes(*coded.values);
  const auto elements = static_cast<std::uint64_t>(coded.values->numel());
  const auto per_byte = coded.bits == 0 ? std::uint64_t{1} : static_cast<std::uint64_t>(8 / coded.bits);
  if (elements != (n + per_byte - 1) / per_byte) {
    throw bad_input(where_,
                    fmt::format("tensor '{}': {} has {} elements where the reference has {}", name, kPartNames[part],
                                elements * per_byte, n),
                    "give the checkpoint just before the compressed one as reference");
  }
  std::vector<float> values(n);
  if (coded.bits == 0) {
    load_f32({coded.values->dtype, bytes}, 0, n, values.data());
    return values;
  }
  const unsigned mask = (1U << coded.bits) - 1;
  for (std::uint64_t i = 0; i < n; ++i) {
    const auto packed = std::to_integer<unsigned>(bytes[i / per_byte]);
    const auto shift = 8 - coded.bits * static_cast<int>(i % per_byte + 1);
    values[i] = coded.table[packed >> shift & mask];
  }
  return values;
}

namespace {

struct Target {
  std::string name;
  OfficialFile::Part part;
  std::uint64_t n;
};

std::uint64_t element_count(const Parameter& parameter) {
  std::uint64_t n = 1;
  for (const std::int64_t size : parameter.shape) n *= static_cast<std::uint64_t>(size);
  return n;
}

void require_known_names(const OfficialFile& file, const Checkpoint& reference, const std::string& where) {
  std::map<std::string, bool> known;
  for (const Parameter& parameter : reference.parameters()) known[parameter.name] = true;
  for (const std::string& name : file.names()) {
    if (known.contains(name)) continue;
    throw bad_input(where, fmt::format("tensor '{}' is not in the reference '{}'", name, reference.path().string()),
                    "give the checkpoint of the same model just before the compressed one");
  }
}

// Which region receives what.
std::map<RegionRef, Target> plan_targets(const OfficialFile& file, const Checkpoint& reference,
                                         OfficialReport& report) {
  std::map<RegionRef, Target> targets;
  for (const Parameter& parameter : reference.parameters()) {
    if (!file.contains(parameter.name)) {
      report.kept_from_reference.push_back(parameter.name);
      continue;
    }
    const std::uint64_t n = element_count(parameter);
    targets[parameter.weight] = {parameter.name, OfficialFile::kResidual, n};
    if (parameter.first_moment) targets[*parameter.first_moment] = {parameter.name, OfficialFile::kFirstMoment, n};
    if (parameter.second_moment) targets[*parameter.second_moment] = {parameter.name, OfficialFile::kSecondMoment, n};
    const std::vector<float> first = file.decode(parameter.name, OfficialFile::kFirstMoment, n);
    const std::vector<float> second = file.decode(parameter.name, OfficialFile::kSecondMoment, n);
    for (std::uint64_t i = 0; i < n; ++i) {
      if (first[i] != 0 && second[i] == 0) ++report.lost_second_moments;
    }
    ++report.parameters;
    report.elements += n;
  }
  for (const auto& [ref, target] : targets) {
    const Region& region = reference.files()[ref.file].regions[ref.region];
    if (is_number_array(region.dtype) && region.bytes == target.n * item_size(region.dtype)) continue;
    throw bad_input(reference.path().string(), fmt::format("tensor '{}' is not floating point", target.name),
                    "give the checkpoint just before the compressed one as reference");
  }
  return targets;
}

Bytes rebuild(const OfficialFile& file, const Checkpoint& reference, RegionRef ref, const Target& target) {
  std::vector<float> values = file.decode(target.name, target.part, target.n);
  const DType dtype = reference.files()[ref.file].regions[ref.region].dtype;
  if (target.part == OfficialFile::kResidual) {
    std::vector<float> before(target.n);
    load_f32({dtype, reference.bytes(ref)}, 0, target.n, before.data());
    for (std::uint64_t i = 0; i < target.n; ++i) values[i] += before[i];
  }
  Bytes bytes(target.n * item_size(dtype));
  store_f32(values.data(), target.n, dtype, bytes.data());
  return bytes;
}

}  // namespace

OfficialReport import_official(const std::filesystem::path& compressed, const Checkpoint& reference,
                               const std::filesystem::path& out) {
  const OfficialFile file(compressed);
  require_known_names(file, reference, compressed.string());
  OfficialReport report;
  const std::map<RegionRef, Target> targets = plan_targets(file, reference, report);
  write_checkpoint_copy(reference, out, [&](RegionRef ref) -> std::optional<Bytes> {
    check_interrupt();
    const auto target = targets.find(ref);
    if (target == targets.end()) return std::nullopt;
    return rebuild(file, reference, ref, target->second);
  });
  return report;
}

}  // namespace kinglet::excp
