// The entry point of `kinglet serve` in libkinglet_torch.so.
#include "kinglet/base/interrupt.h"
#include "kinglet/cli/server_options.h"
#include "kinglet/cli/torch/served_model.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/train/torch_threads.h"

extern "C" __attribute__((visibility("default"))) int kinglet_run_serve(const kinglet::cli::ServeOptions& options,
                                                                        const kinglet::cli::Globals& globals) {
  using namespace kinglet;
  using namespace kinglet::cli;
  set_torch_threads();
  register_memoryformer();
  const LoadedModel loaded = load_served_model(options.model, options.name, options.parallel);
  run_server(
      *loaded.engine, loaded.model, options.server,
      [&](const HttpServer& server) { tell_address(server, loaded.model.name, globals); },
      [] { return interrupted(); });
  return 0;
}
