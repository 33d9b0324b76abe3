// Reads the published tool's `compressed.pt`, a torch.save of
//
//   {weight name: {weights_i[, weights_c], opt_v_i[, opt_v_c], opt_m_i[, opt_m_c]}}
//
// weights = residual to the previous checkpoint, opt_v = exp_avg, opt_m = exp_avg_sq. With *_c (centres of the classes
// 1 .. 2^b - 1, fp16, in any order) *_i is uint8: classes of b bits, 8 / b a byte, the first in the highest bits,
// class 0 being 0. Without *_c, *_i is the tensor itself.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "kinglet/io/checkpoint.h"
#include "kinglet/io/torch_file.h"

namespace kinglet::excp {

class OfficialFile {
 public:
  // Raises Error (bad input), naming the tensor, when anything is not as above.
  explicit OfficialFile(const std::filesystem::path& path);

  enum Part { kResidual = 0, kFirstMoment = 1, kSecondMoment = 2, kParts = 3 };
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  std::vector<std::string> names() const;
  // The `n` values of one part. Raises Error (bad input) when the file's part has another number of elements.
  std::vector<float> decode(const std::string& name, Part part, std::uint64_t n) const;

 private:
  struct Coded {
    const TorchTensor* values = nullptr;  // *_i
    std::vector<float> table;             // [2^b], class -> value; empty: dense
    int bits = 0;
  };
  Coded read_part(const PickleValue& entry, const std::string& name, Part part) const;

  std::string where_;
  TorchFile file_;
  std::map<std::string, std::array<Coded, kParts>> tensors_;
};

struct OfficialReport {
  std::int64_t parameters = 0;  // rebuilt
  std::uint64_t elements = 0;
  std::uint64_t lost_second_moments = 0;         // elements with a first moment whose second one is 0 (fp16 centres)
  std::vector<std::string> kept_from_reference;  // parameters that the file does not have
};

// Writes the checkpoint that `compressed` stands for to `out` (new), in the layout of `reference`: weights of the
// reference plus the residual, moments of the file. Everything else, the optimizer's step and learning rate included,
// is the reference's: the published format has nothing else.
// Raises Error (bad input) when the file has a tensor that the reference has not, or another number of elements.
OfficialReport import_official(const std::filesystem::path& compressed, const Checkpoint& reference,
                               const std::filesystem::path& out);

}  // namespace kinglet::excp
