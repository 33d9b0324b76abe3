// Adds a training checkpoint to an ExCP store, checks what was written, and restores it beside the original.
//
//   store_checkpoint my-run.kinglet my-run/checkpoint-500 restored-500
#include <cstdio>

#include "kinglet/base/error.h"
#include "kinglet/methods/excp/store.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: store_checkpoint STORE CHECKPOINT RESTORED\n");
    return 2;
  }
  try {
    const kinglet::Checkpoint checkpoint = kinglet::Checkpoint::open(argv[2]);
    if (!checkpoint.step()) throw kinglet::bad_input(argv[2], "the checkpoint does not say its step");

    using kinglet::excp::Store;
    Store store = Store::open(argv[1], Store::Access::kWrite);
    kinglet::excp::Options options;
    options.lambda = 1.0;  // weight changes up to the median change of their tensor are not sent
    const kinglet::excp::AddReport report = store.add(checkpoint, *checkpoint.step(), options, /*verify=*/true);
    store.get(report.info.step, argv[3]);

    std::printf("step %lld: %llu bytes stored as %llu (%s)\n", static_cast<long long>(report.info.step),
                static_cast<unsigned long long>(report.info.original_bytes),
                static_cast<unsigned long long>(report.info.stored_bytes), report.info.key ? "key frame" : "delta");
  } catch (const kinglet::Error& error) {
    std::fprintf(stderr, "store_checkpoint: %s\n", error.what());
    return error.exit_code();
  }
  return 0;
}
