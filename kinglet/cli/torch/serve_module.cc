// The entry point of `kinglet serve` in libkinglet_torch.so.
#include <cstdio>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/interrupt.h"
#include "kinglet/base/log.h"
#include "kinglet/cli/torch/served_model.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/train/torch_threads.h"

namespace kinglet::cli {
namespace {

// Programs read the address from stdout; it must be there at once.
void tell_address(const HttpServer& server, const ServedModel& model, const Globals& globals) {
  if (globals.json) {
    print_json({{"url", server.url()}, {"port", server.port()}, {"model", model.name}});
  } else {
    fmt::print("serving {} at {} (API: {}/v1; Ctrl-C ends it)\n", printable(model.name), server.url(), server.url());
  }
  std::fflush(stdout);
}

}  // namespace
}  // namespace kinglet::cli

extern "C" __attribute__((visibility("default"))) int kinglet_run_serve(const kinglet::cli::ServeOptions& options,
                                                                        const kinglet::cli::Globals& globals) {
  using namespace kinglet;
  using namespace kinglet::cli;
  set_torch_threads();
  register_memoryformer();
  const LoadedModel loaded = load_served_model(options.model, options.name, options.parallel);
  if (!is_loopback(options.server.http.host) && options.server.api.api_key.empty()) {
    log_warning("--host {}: everyone who reaches this machine may use the model; give --api-key-file",
                options.server.http.host);
  }
  run_server(
      *loaded.engine, loaded.model, options.server,
      [&](const HttpServer& server) { tell_address(server, loaded.model, globals); }, [] { return interrupted(); });
  return 0;
}
