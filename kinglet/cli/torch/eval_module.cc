// The entry points of `kinglet eval` in libkinglet_torch.so.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/files.h"
#include "kinglet/base/progress.h"
#include "kinglet/cli/eval_options.h"
#include "kinglet/cli/torch_module.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/models/decoder/language_model.h"
#include "kinglet/models/decoder/scoring.h"
#include "kinglet/train/torch_threads.h"

extern "C" __attribute__((visibility("default"))) int kinglet_run_perplexity(
    const kinglet::cli::PerplexityOptions& options, const kinglet::cli::Globals& globals) {
  using namespace kinglet;
  using namespace kinglet::cli;
  set_torch_threads();
  register_memoryformer();
  const Bytes bytes = read_file(options.file);
  const LanguageModel model = load_language_model(options.model, weight_type_of(options.dtype));
  std::vector<TokenId> text = model.tokenizer->encode(as_text(bytes), false);
  if (options.most_tokens > 0) {
    text.resize(std::min(text.size(), static_cast<std::size_t>(options.most_tokens)));
  }
  PerplexitySettings settings;
  settings.window = options.window;
  settings.stride = options.stride;
  settings.begin = begin_token(*model.tokenizer);
  Progress progress("perplexity", text.size());
  const Perplexity result = perplexity(*model.decoder, text, settings, [&](std::int64_t tokens) {
    progress.advance(static_cast<std::uint64_t>(tokens));
  });
  progress.finish();
  if (globals.json) {
    print_json({{"perplexity", result.value},
                {"log_likelihood", result.log_likelihood},
                {"tokens", result.tokens},
                {"bytes", bytes.size()},
                {"window", settings.window},
                {"stride", settings.stride},
                {"windows", result.windows},
                {"begins_with_bos", settings.begin.has_value()}});
    return 0;
  }
  fmt::print("perplexity {:.4f} ({:.4f} nats a token, {} tokens, windows of {} every {}{})\n", result.value,
             -result.log_likelihood / static_cast<double>(result.tokens), result.tokens, settings.window,
             settings.stride, settings.begin ? ", each behind BOS" : "");
  return 0;
}
