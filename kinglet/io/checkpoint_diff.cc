#include "kinglet/io/checkpoint_diff.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "kinglet/base/interrupt.h"
#include "kinglet/base/parallel.h"
#include "kinglet/io/number_array.h"

namespace kinglet {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::uint64_t kComparedAtOnce = 1 << 16;  // elements compared at once

struct Role {
  const char* name;
  std::optional<RegionRef> a, b;
};

std::array<Role, 4> roles_of(const Parameter& a, const Parameter& b) {
  return {{{"weight", a.weight, b.weight},
           {"exp_avg", a.first_moment, b.first_moment},
           {"exp_avg_sq", a.second_moment, b.second_moment},
           {"max_exp_avg_sq", a.max_second_moment, b.max_second_moment}}};
}

// Whether the two values are one value; NaN equals NaN.
bool same_value(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

void add_block(const float* a, const float* b, std::uint64_t n, ArrayDifference& difference) {
  for (std::uint64_t i = 0; i < n; ++i) {
    const double value = a[i];
    if (std::isfinite(value)) difference.squared_value += value * value;
    if (same_value(a[i], b[i])) continue;
    const double error = std::abs(static_cast<double>(b[i]) - value);
    const double size = std::isfinite(error) ? error : kInfinity;
    ++difference.different;
    difference.max_abs = std::max(difference.max_abs, size);
    difference.squared_error += size * size;
  }
}

ArrayDifference compare_arrays(const char* role, const NumberArray& a, const NumberArray& b) {
  ArrayDifference difference;
  difference.role = role;
  difference.n = a.size();
  difference.same_bytes = a.dtype == b.dtype && std::equal(a.data.begin(), a.data.end(), b.data.begin(), b.data.end());
  difference.comparable = is_number_array(a.dtype) && is_number_array(b.dtype) && a.size() == b.size();
  if (!difference.comparable) return difference;
  std::vector<float> scratch_a(kComparedAtOnce), scratch_b(kComparedAtOnce);
  for (std::uint64_t begin = 0; begin < a.size(); begin += kComparedAtOnce) {
    check_interrupt();
    const std::uint64_t n = std::min(kComparedAtOnce, a.size() - begin);
    add_block(view_f32(a, begin, n, scratch_a.data()), view_f32(b, begin, n, scratch_b.data()), n, difference);
  }
  return difference;
}

ParameterDifference compare_parameter(const Checkpoint& a, const Checkpoint& b, const Parameter& in_a,
                                      const Parameter& in_b) {
  ParameterDifference difference;
  difference.name = in_a.name;
  difference.shape = in_a.shape;
  difference.same_shape = in_a.shape == in_b.shape;
  if (!difference.same_shape) return difference;
  for (const Role& role : roles_of(in_a, in_b)) {
    if (role.a && role.b) {
      difference.arrays.push_back(compare_arrays(role.name, a.numbers(*role.a), b.numbers(*role.b)));
    } else if (role.a || role.b) {
      ArrayDifference& missing = difference.arrays.emplace_back();
      missing.role = role.name;
      missing.present = missing.comparable = false;
    }
  }
  return difference;
}

// ---- other data --------------------------------------------------------------------------------------------------

struct Range {
  std::uint64_t begin = 0, end = 0;
  bool operator==(const Range&) const = default;
};

// The ranges of each file that belong to parameters or to their checksums, ascending.
std::vector<std::vector<Range>> parameter_ranges(const Checkpoint& checkpoint) {
  std::set<RegionRef> owned;
  for (const Parameter& parameter : checkpoint.parameters()) {
    for (const Role& role : roles_of(parameter, parameter)) {
      if (role.a) owned.insert(*role.a);
    }
  }
  std::vector<std::vector<Range>> ranges(checkpoint.files().size());
  for (const RegionRef& ref : owned) {
    const Region& region = checkpoint.files()[ref.file].regions[ref.region];
    ranges[ref.file].push_back({region.offset, region.offset + region.bytes});
  }
  for (std::size_t file = 0; file < ranges.size(); ++file) {
    for (const RegionChecksum& checksum : checkpoint.files()[file].checksums) {
      if (owned.contains({file, checksum.region})) ranges[file].push_back({checksum.offset, checksum.offset + 4});
    }
    std::sort(ranges[file].begin(), ranges[file].end(),
              [](const Range& x, const Range& y) { return x.begin < y.begin; });
  }
  return ranges;
}

bool same_outside(ByteView a, const std::vector<Range>& in_a, ByteView b, const std::vector<Range>& in_b) {
  if (a.size() != b.size() || in_a != in_b) return false;
  std::uint64_t begin = 0;
  const auto same = [&](std::uint64_t end) {
    return end <= begin || std::memcmp(a.data() + begin, b.data() + begin, end - begin) == 0;
  };
  for (const Range& range : in_a) {
    if (!same(range.begin)) return false;
    begin = std::max(begin, range.end);
  }
  return same(a.size());
}

std::vector<FileDifference> compare_files(const Checkpoint& a, const Checkpoint& b) {
  using State = FileDifference::State;
  // Two single files are compared with each other whatever their names.
  const bool by_place = !a.is_folder() && !b.is_folder();
  const auto ranges_a = parameter_ranges(a), ranges_b = parameter_ranges(b);
  std::map<std::string, std::pair<std::optional<std::size_t>, std::optional<std::size_t>>> names;
  for (std::size_t i = 0; i < a.files().size(); ++i) names[a.files()[i].name].first = i;
  for (std::size_t i = 0; i < b.files().size(); ++i) {
    names[by_place ? a.files().front().name : b.files()[i].name].second = i;
  }
  std::vector<FileDifference> files;
  for (const auto& [name, places] : names) {
    FileDifference& file = files.emplace_back();
    file.name = name;
    if (!places.first || !places.second) {
      file.state = places.first ? State::kOnlyInA : State::kOnlyInB;
    } else if (!same_outside(a.bytes(a.files()[*places.first]), ranges_a[*places.first],
                             b.bytes(b.files()[*places.second]), ranges_b[*places.second])) {
      file.state = State::kDifferent;
    }
  }
  return files;
}

double ratio_of_roots(double error, double value) { return error == 0 ? 0 : std::sqrt(error / value); }

}  // namespace

double ArrayDifference::rms() const { return n == 0 ? 0 : std::sqrt(squared_error / static_cast<double>(n)); }
double ArrayDifference::relative_rms() const { return ratio_of_roots(squared_error, squared_value); }

bool CheckpointDifference::same_bytes() const {
  if (!only_in_a.empty() || !only_in_b.empty()) return false;
  for (const FileDifference& file : files) {
    if (file.state != FileDifference::State::kEqual) return false;
  }
  for (const ParameterDifference& parameter : parameters) {
    if (!parameter.same_shape) return false;
    for (const ArrayDifference& array : parameter.arrays) {
      if (!array.same_bytes) return false;
    }
  }
  return true;
}

double CheckpointDifference::relative_rms(const std::string& role) const {
  double error = 0, value = 0;
  for (const ParameterDifference& parameter : parameters) {
    for (const ArrayDifference& array : parameter.arrays) {
      if (array.role != role) continue;
      error += array.squared_error;
      value += array.squared_value;
    }
  }
  return ratio_of_roots(error, value);
}

double CheckpointDifference::worst_weight_error() const {
  if (!only_in_a.empty() || !only_in_b.empty()) return kInfinity;
  double worst = 0;
  for (const ParameterDifference& parameter : parameters) {
    if (!parameter.same_shape) return kInfinity;
    for (const ArrayDifference& array : parameter.arrays) {
      if (array.role != "weight") continue;
      if (!array.comparable && !array.same_bytes) return kInfinity;
      worst = std::max(worst, array.relative_rms());
    }
  }
  return worst;
}

CheckpointDifference diff_checkpoints(const Checkpoint& a, const Checkpoint& b) {
  std::map<std::string, const Parameter*> in_b;
  for (const Parameter& parameter : b.parameters()) in_b[parameter.name] = &parameter;
  CheckpointDifference result;
  std::vector<std::pair<const Parameter*, const Parameter*>> common;
  for (const Parameter& parameter : a.parameters()) {
    const auto other = in_b.find(parameter.name);
    if (other == in_b.end()) {
      result.only_in_a.push_back(parameter.name);
    } else {
      common.emplace_back(&parameter, other->second);
      in_b.erase(other);
    }
  }
  for (const auto& [name, parameter] : in_b) result.only_in_b.push_back(name);
  result.parameters.resize(common.size());
  parallel_for(static_cast<std::int64_t>(common.size()), [&](std::int64_t i) {
    const auto& [parameter_a, parameter_b] = common[static_cast<std::size_t>(i)];
    result.parameters[static_cast<std::size_t>(i)] = compare_parameter(a, b, *parameter_a, *parameter_b);
  });
  result.files = compare_files(a, b);
  return result;
}

}  // namespace kinglet
