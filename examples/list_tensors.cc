// Lists the tensors of a safetensors file with their mean, without copying any of them into memory.
//
//   list_tensors model.safetensors
#include <cstdio>
#include <string>

#include "kinglet/base/error.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/io/tensor_statistics.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: list_tensors FILE.safetensors\n");
    return 2;
  }
  try {
    const kinglet::SafetensorsFile file(argv[1]);
    for (const kinglet::TensorView& tensor : file.tensors()) {
      std::string shape;
      for (const std::int64_t size : tensor.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
      const std::string dtype(kinglet::dtype_name(tensor.dtype));
      const auto statistics =
          kinglet::tensor_statistics(tensor.dtype, tensor.data, tensor.shape, kinglet::row_major_strides(tensor.shape));
      std::printf("%-40s %-5s [%s] mean %.4g\n", tensor.name.c_str(), dtype.c_str(), shape.c_str(),
                  statistics ? statistics->mean : 0.0);
    }
  } catch (const kinglet::Error& error) {
    std::fprintf(stderr, "list_tensors: %s\n", error.what());
    return error.exit_code();
  }
  return 0;
}
