// One thread pool for a process that runs LibTorch: base/parallel.h's work goes to LibTorch's pool.
#pragma once

namespace kinglet {

// Gives LibTorch num_threads() threads and makes its pool the backend of parallel_for().
void share_torch_threads();

}  // namespace kinglet
