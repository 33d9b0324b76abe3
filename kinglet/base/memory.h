// How this process's allocator treats freed memory.
#pragma once

namespace kinglet {

// Blocks of a few MiB are allocated and freed all the time here. By default the C library hands them back to the
// kernel, and every page is faulted in and cleared anew: a third of the time of a restore. For programs, at their
// start: keeps freed memory (up to 256 MiB a heap) for the next block.
void keep_freed_memory();

}  // namespace kinglet
