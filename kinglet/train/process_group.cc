#include "kinglet/train/process_group.h"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "kinglet/nn/torch.h"

#ifdef KINGLET_HAS_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

std::optional<std::int64_t> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text, text + std::strlen(text), value);
  if (problem != std::errc() || *end != '\0') throw bad_input(variable, fmt::format("'{}' is no number", text));
  return value;
}

struct Launcher {
  const char *rank, *world;
};
constexpr Launcher kLaunchers[] = {{"RANK", "WORLD_SIZE"},
                                   {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                   {"PMI_RANK", "PMI_SIZE"},
                                   {"SLURM_PROCID", "SLURM_NTASKS"}};

[[noreturn]] void gone(const ProcessLayout& layout, const char* problem) {
  throw failed(fmt::format("process {} of {}", layout.rank, layout.world),
               fmt::format("another process of the run is gone: {}", problem),
               "start all of them again; the run goes on from the last checkpoint");
}

}  // namespace

ProcessLayout process_layout_from_environment() {
  ProcessLayout layout;
  for (const Launcher& launcher : kLaunchers) {
    const auto rank = number_in(launcher.rank), world = number_in(launcher.world);
    if (!rank && !world) continue;
    if (!rank || !world || *world < 1 || *world > 65536 || *rank < 0 || *rank >= *world) {
      throw bad_input(launcher.rank, fmt::format("it and {} must say 0 <= rank < number of processes", launcher.world),
                      "start the processes with torchrun, srun or mpirun");
    }
    layout.rank = static_cast<int>(*rank);
    layout.world = static_cast<int>(*world);
    break;
  }
  if (const char* address = std::getenv("MASTER_ADDR")) layout.address = address;
  if (const auto port = number_in("MASTER_PORT")) {
    if (*port < 1 || *port > 65535) throw bad_input("MASTER_PORT", fmt::format("{} is no port", *port));
    layout.port = static_cast<std::uint16_t>(*port);
  }
  return layout;
}

#ifdef KINGLET_HAS_GLOO

struct ProcessGroup::Backend {
  c10::intrusive_ptr<c10d::TCPStore> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
};

ProcessGroup::ProcessGroup(const ProcessLayout& layout, int timeout_seconds)
    : layout_(layout), backend_(std::make_unique<Backend>()) {
  const std::chrono::seconds timeout(timeout_seconds);
  c10d::TCPStoreOptions options;
  options.port = layout.port;
  options.isServer = layout.rank == 0;
  options.numWorkers = static_cast<std::size_t>(layout.world);
  options.timeout = timeout;
  try {
    backend_->store = c10::make_intrusive<c10d::TCPStore>(layout.address, options);
    const auto gloo = c10d::ProcessGroupGloo::Options::create();
    gloo->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
    gloo->timeout = timeout;
    backend_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(backend_->store, layout.rank, layout.world, gloo);
  } catch (const std::exception& error) {
    const std::string_view first_line = std::string_view(error.what()).substr(0, std::strcspn(error.what(), "\n"));
    throw failed(fmt::format("{}:{}", layout.address, layout.port),
                 fmt::format("process {} of {} could not meet the others: {}", layout.rank, layout.world, first_line),
                 "check MASTER_ADDR and MASTER_PORT, and that every process was started");
  }
}

std::function<void()> ProcessGroup::start_sum(at::Tensor tensor) {
  std::vector<at::Tensor> tensors = {std::move(tensor)};
  try {
    auto work = backend_->gloo->allreduce(tensors);
    return [this, work] {
      try {
        work->wait();
      } catch (const std::exception& error) {
        gone(layout_, error.what());
      }
    };
  } catch (const std::exception& error) {
    gone(layout_, error.what());
  }
}

void ProcessGroup::broadcast(at::Tensor tensor) {
  std::vector<at::Tensor> tensors = {std::move(tensor)};
  try {
    backend_->gloo->broadcast(tensors)->wait();
  } catch (const std::exception& error) {
    gone(layout_, error.what());
  }
}

#else

struct ProcessGroup::Backend {};

ProcessGroup::ProcessGroup(const ProcessLayout& layout, int /*timeout_seconds*/) : layout_(layout) {
  throw failed("", "this build has no Gloo, which runs of several processes need",
               "build with Debian's libtorch-dev and libgloo-dev");
}
std::function<void()> ProcessGroup::start_sum(at::Tensor /*tensor*/) { gone(layout_, "there is no Gloo"); }
void ProcessGroup::broadcast(at::Tensor /*tensor*/) { gone(layout_, "there is no Gloo"); }

#endif

ProcessGroup::~ProcessGroup() = default;

void ProcessGroup::sum(at::Tensor tensor) { start_sum(std::move(tensor))(); }

}  // namespace kinglet
