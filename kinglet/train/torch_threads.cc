#include "kinglet/train/torch_threads.h"

#include <ATen/Parallel.h>

#include "kinglet/base/parallel.h"

namespace kinglet {

void set_torch_threads() {
  // OpenMP may start with a single thread although the machine has more, so the number is always set.
  at::set_num_threads(num_threads());
}

void share_torch_threads() {
  set_torch_threads();
  set_parallel_backend([](std::int64_t count, const std::function<void(std::int64_t)>& body) {
    at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) body(i);
    });
  });
}

}  // namespace kinglet
