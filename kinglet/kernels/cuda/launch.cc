#include "kinglet/kernels/cuda/launch.h"

#include "kinglet/base/error.h"

namespace kinglet::cuda {

void raise_launch_error(const char* what) {
  throw failed("GPU", fmt::format("a kernel could not be started: {}", what), "is the driver that of this CUDA?");
}

}  // namespace kinglet::cuda
