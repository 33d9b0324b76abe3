// The memory of this machine and of this process.
#pragma once

#include <cstdint>
#include <string_view>

namespace kinglet {

// Blocks of a few MiB are allocated and freed all the time here. By default the C library hands them back to the
// kernel, and every page is faulted in and cleared anew: a third of the time of a restore. For programs, at their
// start: keeps freed memory (up to 256 MiB a heap) for the next block.
void keep_freed_memory();

// Bytes of memory of this machine.
std::uint64_t machine_memory();
// Bytes that programs can still get without swapping, as the kernel estimates it: files in its cache count as free. A
// limit of the process's control group (version 2) counts too.
std::uint64_t available_memory();

// "MemAvailable:  123 kB" of /proc/meminfo, in bytes; 0 when `text` does not say.
std::uint64_t memory_field(std::string_view text, std::string_view name);

}  // namespace kinglet
