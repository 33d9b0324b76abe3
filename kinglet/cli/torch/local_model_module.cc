// The entry point in libkinglet_torch.so by which commands without LibTorch get a model of this machine.
#include "kinglet/cli/torch/served_model.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/llm/local_model.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/train/torch_threads.h"

extern "C" __attribute__((visibility("default"))) void kinglet_open_local_model(
    const kinglet::cli::ServedModelOptions& options, std::int64_t parallel, kinglet::LocalEngine& opened) {
  using namespace kinglet;
  using namespace kinglet::cli;
  set_torch_threads();
  register_memoryformer();
  LoadedModel loaded = load_served_model(options, {}, parallel);
  opened.tokenizer = loaded.model.tokenizer;
  opened.chat_template = std::move(loaded.model.chat_template);
  opened.eos = loaded.model.eos;
  opened.name = loaded.model.name;
  opened.engine = std::move(loaded.engine);
}
