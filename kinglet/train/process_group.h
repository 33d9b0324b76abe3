// The processes of a data-parallel run: who they are, and sums over all of them (c10d with Gloo).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

namespace kinglet {

struct ProcessLayout {
  int rank = 0;
  int world = 1;
  std::string address = "127.0.0.1";  // of rank 0
  std::uint16_t port = 29500;
};

// From the variables of torchrun (RANK, WORLD_SIZE), Slurm (SLURM_PROCID, SLURM_NTASKS) or mpirun (OMPI_COMM_WORLD_*,
// PMI_*), with MASTER_ADDR and MASTER_PORT; one process when none is set. Raises Error (bad input) for numbers that
// make no sense.
ProcessLayout process_layout_from_environment();

class ProcessGroup {
 public:
  // Waits for the others, at most `timeout_seconds`. Raises Error (failed) when they do not come, or when this build
  // has no Gloo. Afterwards every call raises Error (failed) when another process is gone.
  ProcessGroup(const ProcessLayout& layout, int timeout_seconds = 300);
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const { return layout_.rank; }
  int world() const { return layout_.world; }

  // Every process calls these in the same order with tensors of equal shape. CPU, contiguous.
  void sum(at::Tensor tensor);        // in place
  void broadcast(at::Tensor tensor);  // in place, from rank 0
  // A sum that runs on while the caller computes; the returned function waits for it. The tensor must live that long.
  std::function<void()> start_sum(at::Tensor tensor);

 private:
  struct Backend;
  ProcessLayout layout_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace kinglet
