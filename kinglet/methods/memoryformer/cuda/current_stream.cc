#include "kinglet/methods/memoryformer/cuda/current_stream.h"

#include <c10/cuda/CUDAStream.h>

namespace kinglet::cuda {

Stream current_stream(const at::Tensor& x) { return c10::cuda::getCurrentCUDAStream(x.get_device()).stream(); }

}  // namespace kinglet::cuda
