// Dense products of oneDNN as an inference engine would call them: weights laid out as oneDNN likes best, everything
// prepared before the clock runs.
#pragma once

#include <cstdint>
#include <dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

namespace kinglet::bench {

// y [tokens, out] = x [tokens, in] W, with `copies` different W, so that they can be walked through cold.
class DenseLayers {
 public:
  enum class Type { kF32, kBF16, kI8 };

  DenseLayers(Type type, std::int64_t tokens, std::int64_t in, std::int64_t out, std::int64_t copies);
  void run(std::int64_t copy);
  std::size_t weight_bytes() const { return weight_desc_.get_size(); }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul product_;
  dnnl::memory::desc weight_desc_;
  dnnl::memory x_, y_, scratch_;
  std::vector<char> all_;
  std::vector<std::unordered_map<int, dnnl::memory>> arguments_;
};

}  // namespace kinglet::bench
