// How two checkpoints of one model differ: the error of every weight and moment, and whether all other bytes agree.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kinglet/io/checkpoint.h"

namespace kinglet {

// One array of a parameter in both checkpoints. Errors are b - a; infinite where a NaN or infinity stands against
// another value.
struct ArrayDifference {
  std::string role;     // "weight", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"
  bool present = true;  // in both checkpoints
  bool same_bytes = false;
  bool comparable = true;  // floating point in both; the errors below are 0 otherwise
  std::uint64_t n = 0;
  std::uint64_t different = 0;  // elements with another value
  double max_abs = 0;
  double squared_error = 0;
  double squared_value = 0;  // of a
  double rms() const;
  double relative_rms() const;  // RMS error / RMS of a; 0 when both are 0
};

struct ParameterDifference {
  std::string name;
  std::vector<std::int64_t> shape;
  bool same_shape = true;               // otherwise nothing is compared
  std::vector<ArrayDifference> arrays;  // weight first; roles that one of the two has
};

// A file of the same name in both. Compared are the bytes that belong to no parameter and to no checksum of one.
struct FileDifference {
  std::string name;
  enum class State { kEqual, kDifferent, kOnlyInA, kOnlyInB } state = State::kEqual;
};

struct CheckpointDifference {
  std::vector<ParameterDifference> parameters;  // in a's order
  std::vector<std::string> only_in_a, only_in_b;
  std::vector<FileDifference> files;  // by name
  bool same_bytes() const;            // every parameter and every file is equal
  // Over all parameters: RMS error of `role` / RMS of `role` in a.
  double relative_rms(const std::string& role) const;
  // The largest relative RMS error of any weight; infinite when a parameter is missing or has another shape.
  double worst_weight_error() const;
};

// Parameters are matched by name. 64-bit floats are compared after rounding to 32 bits.
CheckpointDifference diff_checkpoints(const Checkpoint& a, const Checkpoint& b);

}  // namespace kinglet
