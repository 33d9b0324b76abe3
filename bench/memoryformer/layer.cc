// Does a Memory Layer pay on this processor? One thread, d inputs to d outputs, 8 bits a table:
//   decode   one token, the layer (hash and look-up) against the engine's bf16 and int8 products and oneDNN's; cold,
//            walking through a gigabyte of layers, and warm, the same layer again
//   batch    512 tokens, against oneDNN's fp32, bf16 and int8 products (bf16 only where the processor has it)
// and how near decode is to the limit, rows of the same length read at random places with nothing else done.
//   build/bench/memoryformer [--quick]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/memoryformer/products.h"

#include "kinglet/base/parallel.h"
#include "kinglet/base/rng.h"
#include "kinglet/kernels/few_rows.h"
#include "kinglet/kernels/matmul.h"
#include "kinglet/kernels/memory_tables.h"
#include "kinglet/kernels/simd.h"

extern "C" void omp_set_num_threads(int threads);

namespace {

using namespace kinglet;
using bench::DenseLayers;

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// An arm of a comparison: microseconds a call, the least of the rounds.
struct Arm {
  std::string name;
  double bytes = 0;  // of tables or weights a call
  double limit = 0;  // GB/s of random rows of this size; 0: not measured
  std::function<void(std::int64_t round)> run;
  double best = 1e30;
};

// Arms take turns, so that what else the machine does hits all of them. A round is `calls` calls.
void measure(std::vector<Arm>& arms, int rounds, std::int64_t calls) {
  for (int round = 0; round < rounds; ++round) {
    for (Arm& arm : arms) {
      const double start = thread_seconds();
      for (std::int64_t i = 0; i < calls; ++i) arm.run(round * calls + i);
      arm.best = std::min(arm.best, (thread_seconds() - start) * 1e6 / static_cast<double>(calls));
    }
  }
}

void print(const std::vector<Arm>& arms, const std::string& against) {
  double reference = 0;
  for (const Arm& arm : arms) reference = arm.name == against ? arm.best : reference;
  for (const Arm& arm : arms) {
    const double rate = arm.bytes / arm.best * 1e-3;
    std::printf("  %-22s %9.2f us  %7.1f GB/s", arm.name.c_str(), arm.best, rate);
    std::printf("  %6.2fx", reference / arm.best);
    if (arm.limit > 0) std::printf("   %3.0f %% of the %.1f GB/s of random rows", 100 * rate / arm.limit, arm.limit);
    std::printf("\n");
  }
}

// Inputs of many tokens; every call takes others.
struct Inputs {
  Inputs(std::int64_t tokens, std::int64_t d) : width(d), x(static_cast<std::size_t>(tokens * d)) {
    Rng rng(1);
    for (float& value : x) value = static_cast<float>(rng.normal());
  }
  const float* at(std::int64_t token) const { return x.data() + token * width; }
  std::int64_t width;
  std::vector<float> x;
};

struct Layers {
  Layers(std::int64_t d, DType dtype, TableLayout layout, std::int64_t copies) : shape{d / 8, 8, d} {
    std::vector<float> rows(static_cast<std::size_t>(shape.rows() * d));
    Rng rng(2);
    for (float& value : rows) value = static_cast<float>(rng.uniform()) - 0.5F;
    for (std::int64_t i = 0; i < copies; ++i) {
      tables.push_back(std::make_unique<PackedTables>(shape, rows.data(), dtype, layout));
    }
  }
  void run(const Inputs& inputs, std::int64_t copy, std::int64_t token, std::int64_t tokens) {
    codes.resize(static_cast<std::size_t>(tokens * shape.tables));
    weights.resize(codes.size());
    y.resize(static_cast<std::size_t>(tokens * shape.width));
    memory_hash(shape, {}, tokens, inputs.at(token), codes.data(), weights.data());
    memory_gather(shape, tables[static_cast<std::size_t>(copy)]->view(), tokens, codes.data(), weights.data(), nullptr,
                  y.data());
  }
  MemoryShape shape;
  std::vector<std::unique_ptr<PackedTables>> tables;
  std::vector<std::uint16_t> codes;
  std::vector<float> weights, y;
};

// Reads of whole rows at random places of the layers' own memory, eight rows ahead: the limit of any look-up.
double random_rows(const Layers& layers, std::int64_t row_bytes, std::int64_t calls) {
  const MemoryShape& shape = layers.shape;
  std::vector<std::uint32_t> rows(static_cast<std::size_t>(shape.tables * 1024 + 64));
  Rng rng(3);
  for (auto& row : rows) row = static_cast<std::uint32_t>(rng.below(static_cast<std::uint64_t>(shape.rows_of_table())));
  double best = 1e30;
  std::uint64_t sum = 0;
  for (int round = 0; round < 5; ++round) {
    const double start = thread_seconds();
    for (std::int64_t i = 0; i < calls; ++i) {
      const auto copy = static_cast<std::size_t>(i) % layers.tables.size();
      const auto* const data = static_cast<const char*>(layers.tables[copy]->view().data);
      const std::uint32_t* const chosen = rows.data() + (i * 37 + round) % 1024 * shape.tables / 4;
      for (std::int64_t k = 0; k < shape.tables; ++k) {
        const std::int64_t ahead = std::min(k + 8, shape.tables - 1);
        const char* const next = data + ((ahead << shape.bits) + chosen[ahead]) * row_bytes;
        const char* const row = data + ((k << shape.bits) + chosen[k]) * row_bytes;
        for (std::int64_t at = 0; at < row_bytes; at += 64) {
          __builtin_prefetch(next + at, 0, 3);
          std::uint64_t word;
          std::memcpy(&word, row + at, sizeof(word));
          sum += word;
        }
      }
    }
    best = std::min(best, thread_seconds() - start);
  }
  if (sum == 42) std::printf("\n");  // the reads must not be left out
  return static_cast<double>(calls * shape.tables * row_bytes) / best * 1e-9;
}

// Products as the engine computes them for one token (kernels/few_rows.h), on every processor.
struct EngineLayers {
  EngineLayers(WeightKind kind, std::int64_t d, std::int64_t copies) : view{kind, nullptr, nullptr, d, d} {
    values.assign(static_cast<std::size_t>(copies) * copy_bytes(), 1);
    if (kind == WeightKind::kInt8) scales.assign(static_cast<std::size_t>(d * d / kInt8Group), 0.01F);
    y.resize(static_cast<std::size_t>(d));
  }
  std::size_t copy_bytes() const {
    return static_cast<std::size_t>(view.out * view.in) * (view.kind == WeightKind::kInt8 ? 1 : 2);
  }
  void run(std::int64_t copy, const float* x) {
    WeightMatrix one = view;
    one.values = values.data() + static_cast<std::size_t>(copy) * copy_bytes();
    one.scales = scales.data();
    few_rows_product(one, 1, x, nullptr, y.data());
  }
  WeightMatrix view;
  std::vector<char> values;
  std::vector<float> scales, y;
};

void add_dense(std::vector<Arm>& arms, std::int64_t d, std::int64_t bytes, const Inputs& inputs) {
  for (const auto& [name, kind, item] :
       {std::tuple{"engine bf16", WeightKind::kBFloat16, 2}, std::tuple{"engine int8", WeightKind::kInt8, 1}}) {
    const std::int64_t copies = bytes == 0 ? 1 : bytes / (d * d * item);
    auto dense = std::make_shared<EngineLayers>(kind, d, copies);
    arms.push_back({name, static_cast<double>(dense->copy_bytes()), 0.0,
                    [=, &inputs](std::int64_t i) { dense->run(i % copies, inputs.at(i % 256)); }});
  }
  for (const auto& [name, type, item] :
       {std::tuple{"oneDNN bf16", DenseLayers::Type::kBF16, 2}, std::tuple{"oneDNN int8", DenseLayers::Type::kI8, 1}}) {
    if (type == DenseLayers::Type::kBF16 && !multiplies_bfloat16()) continue;
    const std::int64_t copies = bytes == 0 ? 1 : bytes / (d * d * item);
    auto dense = std::make_shared<DenseLayers>(type, 1, d, d, copies);
    arms.push_back(
        {name, static_cast<double>(dense->weight_bytes()), 0.0, [=](std::int64_t i) { dense->run(i % copies); }});
  }
}

constexpr DType kTypes[] = {DType::kBF16, DType::kI8};
const char* short_name(DType dtype) { return dtype == DType::kBF16 ? "bf16" : (dtype == DType::kI8 ? "int8" : "fp32"); }

// `bytes` of layers of each kind are walked through; 0: one layer.
void decode(std::int64_t d, std::int64_t bytes) {
  const std::int64_t calls = bytes == 0 ? 2000 : 400;
  const Inputs inputs(256, d);
  std::vector<Arm> arms;
  for (const DType dtype : kTypes) {
    for (const TableLayout layout : {TableLayout::kRows, TableLayout::kColumnBlocks}) {
      const auto item = static_cast<std::int64_t>(item_size(dtype)), size = d / 8 * 256 * d * item;
      const std::int64_t copies = bytes == 0 ? 1 : std::max<std::int64_t>(2, bytes / size);
      auto layers = std::make_shared<Layers>(d, dtype, layout, copies);
      const double limit = layout == TableLayout::kRows ? random_rows(*layers, d * item, calls) : 0.0;
      arms.push_back({std::string("memory ") + short_name(dtype) + (layout == TableLayout::kRows ? " rows" : " blocks"),
                      static_cast<double>(d / 8 * d * item), limit,
                      [=, &inputs](std::int64_t i) { layers->run(inputs, i % copies, i % 256, 1); }});
    }
  }
  add_dense(arms, d, bytes, inputs);
  std::printf("decode d = %lld, %s; ratios to the engine's bf16 product\n", static_cast<long long>(d),
              bytes == 0 ? "warm" : "cold");
  measure(arms, 7, calls);
  print(arms, "engine bf16");
}

void batch(std::int64_t d, std::int64_t tokens) {
  const Inputs inputs(tokens, d);
  std::vector<Arm> arms;
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
    for (const TableLayout layout : {TableLayout::kRows, TableLayout::kColumnBlocks}) {
      auto layers = std::make_shared<Layers>(d, dtype, layout, 1);
      arms.push_back({std::string("memory ") + short_name(dtype) + (layout == TableLayout::kRows ? " rows" : " blocks"),
                      static_cast<double>(tokens * d / 8 * d) * static_cast<double>(item_size(dtype)), 0.0,
                      [=, &inputs](std::int64_t) { layers->run(inputs, 0, 0, tokens); }});
    }
  }
  for (const auto& [name, type] :
       {std::pair{"oneDNN fp32", DenseLayers::Type::kF32}, std::pair{"oneDNN bf16", DenseLayers::Type::kBF16},
        std::pair{"oneDNN int8", DenseLayers::Type::kI8}}) {
    if (type == DenseLayers::Type::kBF16 && !multiplies_bfloat16()) continue;
    auto dense = std::make_shared<DenseLayers>(type, tokens, d, d, 1);
    arms.push_back({name, static_cast<double>(dense->weight_bytes()), 0.0, [=](std::int64_t) { dense->run(0); }});
  }
  std::printf("batch d = %lld, %lld tokens; ratios to oneDNN fp32\n", static_cast<long long>(d),
              static_cast<long long>(tokens));
  measure(arms, 3, d >= 2048 ? 1 : 3);
  print(arms, "oneDNN fp32");
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::string(argv[1]) == "--quick";
  set_num_threads(1);
  omp_set_num_threads(1);
  std::printf("%s, one thread, least processor time of several rounds\n", simd_level_name().c_str());
  for (const std::int64_t d : quick ? std::vector<std::int64_t>{1024} : std::vector<std::int64_t>{512, 1024, 2048}) {
    decode(d, std::int64_t{1} << 30);
    decode(d, 0);
    if (!quick) batch(d, 512);
  }
  return 0;
}
