// How fast are the loops of the codec, in GB/s of one fp32 array (or of symbols for the coder), at every instruction
// set of this processor? Limit: each streams its arrays once, so memory bandwidth over bytes touched.
//   build/bench/excp_kernels
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <vector>

#include "bench/support/stopwatch.h"

#include "kinglet/base/rng.h"
#include "kinglet/kernels/byte_planes.h"
#include "kinglet/kernels/quantize.h"
#include "kinglet/kernels/rans.h"
#include "kinglet/kernels/simd.h"
#include "kinglet/kernels/statistics.h"

namespace {

using namespace kinglet;

constexpr std::size_t kN = std::size_t{1} << 20;  // one block of the codec

// Median seconds of a call, the first one not counted.
double time_of(const std::function<void()>& body) {
  body();
  return bench::cpu_seconds_of(body, 15);
}

struct Data {
  std::vector<float> delta, first, reference, boundaries, codebook, scratch;
  std::vector<std::uint8_t> flags, classes, packed, bytes;

  Data()
      : delta(kN),
        first(kN),
        reference(kN),
        codebook(256),
        scratch(kN),
        flags(kN),
        classes(kN),
        packed(kN + 64),
        bytes(4 * kN) {
    Rng rng(1);
    for (std::size_t i = 0; i < kN; ++i) {
      delta[i] = static_cast<float>(rng.normal() * std::exp(rng.normal() * 0.5) * 1e-4);
      first[i] = static_cast<float>(rng.normal() * std::exp(rng.normal()) * 1e-5);
      reference[i] = static_cast<float>(rng.normal() * 0.02);
    }
    for (int j = 1; j < 15; ++j) boundaries.push_back(static_cast<float>((j - 7.5) * 1e-4));
    for (std::size_t j = 1; j < 16; ++j) codebook[j] = static_cast<float>(j) * 1e-4F;
    codebook[0] = -0.0F;
    build_keep_flags(delta.data(), first.data(), kN, 1.7e-4F, 2e-5F, true, flags.data(), nullptr);
    quantize(delta.data(), flags.data(), kKeepWeight, boundaries.data(), 15, kN, classes.data());
  }
};

void report(const char* name, double seconds, double bytes) {
  std::printf("  %-34s %7.2f GB/s\n", name, bytes / seconds * 1e-9);
}

void run_level(Data& data) {
  const double fp32 = 4.0 * kN;
  report("subtract", time_of([&] { subtract(data.delta.data(), data.reference.data(), kN, data.scratch.data()); }),
         fp32);
  report("check_values", time_of([&] { check_values(data.first.data(), kN); }), fp32);
  report("sum_of_magnitudes", time_of([&] { sum_of_magnitudes(data.first.data(), kN); }), fp32);
  ValueHistogram all;
  report("histogram of all values", time_of([&] { all.add(data.delta.data(), kN); }), fp32);
  MagnitudeSelector median(all, kN / 2);
  report("median, low histogram", time_of([&] { median.add(data.delta.data(), kN); }), fp32);
  ValueHistogram::Edge edge(1.7e-4F);
  report("histogram edge", time_of([&] { edge.add(data.delta.data(), kN); }), fp32);
  ValueHistogram histogram;
  report("value histogram of survivors",
         time_of([&] { histogram.add(data.delta.data(), data.flags.data(), kKeepWeight, kN); }), fp32);
  report("build_keep_flags", time_of([&] {
           build_keep_flags(data.delta.data(), data.first.data(), kN, 1.7e-4F, 2e-5F, true, data.packed.data(),
                            nullptr);
         }),
         fp32);
  report("quantize, 15 classes", time_of([&] {
           quantize(data.delta.data(), data.flags.data(), kKeepWeight, data.boundaries.data(), 15, kN,
                    data.packed.data());
         }),
         fp32);
  report("dequantize_add",
         time_of([&] { dequantize_add(data.classes.data(), data.codebook.data(), kN, data.scratch.data()); }), fp32);
  report("compact_nonzero",
         time_of([&] { compact_nonzero(data.classes.data(), data.flags.data(), kN, data.packed.data()); }), fp32);
  report("expand_nonzero",
         time_of([&] { expand_nonzero(data.classes.data(), data.flags.data(), kN, kN, data.packed.data()); }), fp32);
  const auto* raw = reinterpret_cast<const std::uint8_t*>(data.delta.data());
  report("split_byte_planes", time_of([&] { split_byte_planes(raw, kN, 4, data.bytes.data()); }), fp32);
  report("merge_byte_planes", time_of([&] { merge_byte_planes(raw, kN, 4, data.bytes.data()); }), fp32);
}

void run_coder(const Data& data) {
  std::vector<std::uint8_t> pairs(kN / 2);
  pack_bits(data.classes.data(), kN, 4, pairs.data());
  const auto measure = [](const char* name, std::span<const std::uint8_t> symbols, double elements) {
    Bytes coded;
    rans_encode(symbols, coded);
    std::vector<std::uint8_t> decoded(symbols.size());
    const double encode = time_of([&] {
      Bytes out;
      rans_encode(symbols, out);
    });
    const double decode = time_of([&] { rans_decode(coded, decoded, "bench"); });
    std::printf("  %-10s %.4f bits/element, order-0 entropy %.4f, encode %.2f and decode %.2f GB/s of fp32\n", name,
                8.0 * static_cast<double>(coded.size()) / elements, order0_entropy_bits(symbols) / elements,
                4 * elements / encode * 1e-9, 4 * elements / decode * 1e-9);
  };
  std::printf("rANS, %.1f %% of the classes not zero\n",
              100.0 * (1.0 - static_cast<double>(std::count(data.classes.begin(), data.classes.end(), 0)) / kN));
  measure("pairs", pairs, kN);
  measure("singles", data.classes, kN);
}

}  // namespace

int main() {
  Data data;
  static const char* const kNames[] = {"scalar", "SSE4", "AVX2", "AVX-512"};
  for (const SimdLevel level : available_simd_levels()) {
    force_simd_level(level);
    std::printf("%s\n", kNames[static_cast<int>(level)]);
    run_level(data);
    reset_simd_level();
  }
  run_coder(data);
  return 0;
}
