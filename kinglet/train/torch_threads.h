// Which threads a process that runs LibTorch works with.
#pragma once

namespace kinglet {

// For training, where large products and the house's kernels take turns: LibTorch gets num_threads() threads, and its
// pool becomes the backend of parallel_for().
void share_torch_threads();

// For inference, which is thousands of short parallel regions a second: LibTorch gets num_threads() threads for the
// large products of a prompt, the house's kernels keep their own pool. Its regions do not end with a barrier of all
// threads, so that other programs on the machine hold up decoding far less.
void set_torch_threads();

}  // namespace kinglet
