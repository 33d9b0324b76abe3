// One parallel helper for the whole house.
//
// Work runs on a pool of the house (thread_pool.h), or on LibTorch's after train/ has installed it as the backend.
// Results must not depend on which thread runs an index: combine partial results in index order.
#pragma once

#include <cstdint>
#include <functional>

namespace kinglet {

// Calls body(i) for every i in [0, count), each exactly once, from up to num_threads() threads; returns when all
// are done. The first exception stops further indices from starting and is rethrown. Nested calls run serially, and so
// does one that comes while another thread's is at work.
void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body);

// Calls body(begin, end) for the pieces of [0, n) of `piece` elements, the last one shorter, as parallel_for does. The
// pieces do not depend on the number of threads.
void parallel_ranges(std::int64_t n, std::int64_t piece, const std::function<void(std::int64_t, std::int64_t)>& body);

int num_threads();
void set_num_threads(int threads);  // 0 = all cores this process may use

using ParallelBackend = std::function<void(std::int64_t count, const std::function<void(std::int64_t)>& body)>;
void set_parallel_backend(ParallelBackend backend);  // an empty function restores the house's pool

}  // namespace kinglet
