// How a .cu file starts its kernels. Tests compile the same file for the CPU with definitions of their own
// (tests/kernels/cuda_on_cpu.h), so that kernels are checked on machines without a GPU.
//
// nvcc cannot read the headers of fmt 9: a .cu file and what it includes keep away from them.
#pragma once

namespace kinglet::cuda {

[[noreturn]] void raise_launch_error(const char* what);  // Error (failed)

}  // namespace kinglet::cuda

#ifdef __CUDACC__

#include <cuda_runtime.h>

namespace kinglet::cuda {

// kernel<<<grid, block>>>(arguments...) on a cudaStream_t.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, void* stream, const Arguments&... arguments) {
  kernel<<<grid, block, 0, static_cast<cudaStream_t>(stream)>>>(arguments...);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) raise_launch_error(cudaGetErrorString(error));
}

}  // namespace kinglet::cuda

#endif
