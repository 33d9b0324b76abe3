// The codec against its limit and against the published pipeline, on one parameter in memory, one core:
//  1. compress and reconstruct in GB/s of raw checkpoint (weights + both moments, 12 bytes an element);
//     the floor is reading the inputs once;
//  2. the whole pipeline against the published one (sampled k-means, separate nibble streams, xz).
//   build/bench/excp_codec [elements]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/support/stopwatch.h"

#include "kinglet/base/memory.h"
#include "kinglet/base/parallel.h"
#include "kinglet/base/rng.h"
#include "kinglet/kernels/simd.h"
#include "kinglet/methods/excp/delta_codec.h"

namespace {

using namespace kinglet;
using namespace kinglet::excp;

// Heavy-tailed residuals and moments that are only loosely related to them, as between real checkpoints.
struct Parameter {
  std::vector<float> previous, weight, first, second;

  explicit Parameter(std::size_t n) : previous(n), weight(n), first(n), second(n) {
    Rng rng(1);
    for (std::size_t i = 0; i < n; ++i) {
      const double scale = std::exp(0.5 * rng.normal());
      previous[i] = static_cast<float>(0.02 * rng.normal());
      weight[i] = previous[i] + static_cast<float>(3e-4 * scale * rng.normal());
      first[i] = static_cast<float>(1e-5 * scale * rng.normal());
      second[i] = static_cast<float>(4e-10 * scale * scale * (0.2 + rng.uniform()));
    }
  }
};

struct Result {
  DeltaFrame frame;
  Bytes payload;
  std::vector<float> reference;
};

NumberArray view(const std::vector<float>& values) { return {DType::kF32, std::as_bytes(std::span(values))}; }

void encode(const Parameter& parameter, const Options& options, Result& result) {
  result.payload.clear();
  DeltaInput input;
  input.name = "bench";
  input.n = parameter.weight.size();
  input.weight = view(parameter.weight);
  input.first_moment = view(parameter.first);
  input.second_moment = view(parameter.second);
  input.reference = result.reference;
  result.frame = encode_delta(input, options, [&](ByteView payload) {
    result.payload.insert(result.payload.end(), payload.begin(), payload.end());
  });
}

void decode(const Result& result, std::vector<float>& weight, std::vector<float>& first, std::vector<float>& second) {
  std::uint64_t offset = 0;
  for (std::uint64_t block = 0; block < result.frame.blocks.size(); ++block) {
    const std::uint64_t at = block * kBlockElements, n = block_size(result.frame.n, block);
    const ByteView payload = ByteView(result.payload).subspan(offset, result.frame.blocks[block].payload_bytes());
    offset += payload.size();
    decode_block(
        result.frame, block, payload,
        {std::span(weight).subspan(at, n), std::span(first).subspan(at, n), std::span(second).subspan(at, n), {}},
        "bench");
  }
}

struct Measured {
  double encode = 0, decode = 0, bytes = 0;
};

Measured measure(const Parameter& parameter, const Options& options, int repeats) {
  Result result;
  std::vector<double> encode_seconds, decode_seconds;
  for (int i = 0; i < repeats; ++i) {
    result.reference = parameter.previous;  // not timed
    encode_seconds.push_back(bench::seconds_of([&] { encode(parameter, options, result); }).cpu);
  }
  const std::size_t n = parameter.weight.size();
  std::vector<float> weight, first(n), second(n);
  for (int i = 0; i < repeats; ++i) {
    weight = parameter.previous;
    decode_seconds.push_back(bench::seconds_of([&] { decode(result, weight, first, second); }).cpu);
  }
  return {bench::median(encode_seconds), bench::median(decode_seconds), static_cast<double>(result.payload.size())};
}

double read_once(const Parameter& parameter) {
  volatile double sink = 0;
  return bench::cpu_seconds_of([&] {
    double total = 0;
    for (const auto* array : {&parameter.previous, &parameter.weight, &parameter.first, &parameter.second}) {
      float lanes[64] = {};
      for (std::size_t i = 0; i + 64 <= array->size(); i += 64) {
        for (std::size_t lane = 0; lane < 64; ++lane) lanes[lane] += (*array)[i + lane];
      }
      for (const float lane : lanes) total += static_cast<double>(lane);
    }
    sink = total;
  });
}

void bench_pipeline(const Parameter& parameter) {
  const auto n = static_cast<double>(parameter.weight.size());
  const double raw = 12 * n, floor = read_once(parameter);
  std::printf("1. One core, %.0f MiB of checkpoint in memory; reading the inputs once: %.2f GB/s\n", raw / 1048576,
              raw / floor * 1e-9);
  std::printf("   %-10s %14s %14s %10s %12s\n", "lambda", "compress GB/s", "restore GB/s", "ratio", "of the floor");
  for (const double lambda : {0.0, 0.5, 1.0, 2.5}) {
    Options options;
    options.lambda = lambda;
    const Measured ours = measure(parameter, options, 5);
    std::printf("   %-10.1f %14.2f %14.2f %10.1f %11.0f%%\n", lambda, raw / ours.encode * 1e-9,
                raw / ours.decode * 1e-9, raw / ours.bytes, 100 * floor / ours.encode);
  }
}

void bench_against_paper() {
  const Parameter parameter(std::size_t{1} << 22);
  const double raw = 12.0 * static_cast<double>(parameter.weight.size());
  std::printf("2. Whole pipeline against the published one, same thresholds, one core, %.0f MiB\n", raw / 1048576);
  std::printf("   %-8s %14s %14s %11s %11s %9s\n", "lambda", "ours s", "published s", "ours ratio", "its ratio",
              "faster");
  for (const double lambda : {1.0, 2.5}) {
    Options options, paper = paper_options();
    options.lambda = paper.lambda = lambda;
    const Measured ours = measure(parameter, options, 5), theirs = measure(parameter, paper, 1);
    std::printf("   %-8.1f %14.3f %14.2f %11.1f %11.1f %8.0fx\n", lambda, ours.encode, theirs.encode, raw / ours.bytes,
                raw / theirs.bytes, theirs.encode / ours.encode);
  }
}

}  // namespace

int main(int argc, char** argv) {
  kinglet::keep_freed_memory();
  const std::size_t n = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : std::size_t{1} << 24;
  set_num_threads(1);
  std::printf("kernels: %s\n", simd_level_name().c_str());
  const Parameter parameter(n);
  bench_pipeline(parameter);
  bench_against_paper();
  return 0;
}
