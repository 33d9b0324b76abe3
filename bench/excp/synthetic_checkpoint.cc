#include "bench/excp/synthetic_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/rng.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/io/torch_file.h"

namespace kinglet::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBlock = std::uint64_t{1} << 20;

// One block of each array, and how far the weights move with those moments. Other blocks and steps are rotations of it:
// a random number for every element of a 2 GiB tensor would take longer than what is to be measured.
struct Pattern {
  std::vector<float> start, move, first, second;

  Pattern() : start(kBlock), move(kBlock), first(kBlock), second(kBlock) {
    Rng rng(1);
    for (std::size_t i = 0; i < kBlock; ++i) {
      const double scale = std::exp(0.5 * rng.normal());
      const double m = 1e-5 * scale * rng.normal(), v = 4e-10 * scale * scale * (0.2 + rng.uniform());
      start[i] = static_cast<float>(0.02 * rng.normal());
      first[i] = static_cast<float>(m);
      second[i] = static_cast<float>(v);
      move[i] = static_cast<float>(-2e-4 * m / std::sqrt(v) + 2e-4 * scale * rng.normal());
    }
  }
};

// How far the moments of block `block` at step `step` are rotated.
std::size_t rotation(std::uint64_t block, std::int64_t step) {
  return (block * 104729 + static_cast<std::uint64_t>(step) * 611953) % kBlock;
}

void copy_rotated(const std::vector<float>& source, std::size_t by, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = source[(i + by) % kBlock];
}

void weights_of_block(const Pattern& pattern, std::uint64_t block, std::int64_t step, std::span<float> out) {
  copy_rotated(pattern.start, (block * 7919) % kBlock, out);
  for (std::int64_t s = 1; s <= step; ++s) {
    const std::size_t by = rotation(block, s);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += pattern.move[(i + by) % kBlock];
  }
}

// Writes [elements] floats to `path`; `fill` makes one block.
template <typename Fill>
void write_raw(const fs::path& path, std::uint64_t elements, const Fill& fill) {
  std::ofstream out(path, std::ios::binary);
  std::vector<float> values(kBlock);
  for (std::uint64_t block = 0; block * kBlock < elements; ++block) {
    const std::span<float> part(values.data(), std::min(kBlock, elements - block * kBlock));
    fill(block, part);
    out.write(reinterpret_cast<const char*>(part.data()), static_cast<std::streamsize>(part.size_bytes()));
  }
  out.close();
  if (!out) throw failed(path.string(), "cannot write", "is the disk full?");
}

void write_optimizer(const fs::path& path, std::int64_t step, const std::vector<std::int64_t>& shape, ByteView first,
                     ByteView second) {
  TorchFileWriter writer;
  PickleBuilder& b = writer.builder;
  const auto count = static_cast<float>(step);
  PickleValue* state =
      b.dict({{b.string("step"), writer.add_tensor(DType::kF32, {}, std::as_bytes(std::span(&count, 1)))},
              {b.string("exp_avg"), writer.add_tensor(DType::kF32, shape, first)},
              {b.string("exp_avg_sq"), writer.add_tensor(DType::kF32, shape, second)}});
  PickleValue* group = b.dict({{b.string("lr"), b.number(1e-3)},
                               {b.string("betas"), b.tuple({b.number(0.9), b.number(0.999)})},
                               {b.string("param_names"), b.list({b.string("weight")})},
                               {b.string("params"), b.list({b.integer(0)})}});
  PickleValue* root =
      b.dict({{b.string("state"), b.dict({{b.integer(0), state}})}, {b.string("param_groups"), b.list({group})}});
  std::move(writer).write(path, root);
}

}  // namespace

void write_synthetic_checkpoint(const fs::path& checkpoint, std::uint64_t elements, std::int64_t step) {
  fs::create_directories(checkpoint);
  const Pattern pattern;
  const auto raw = [&](const std::string& name) { return checkpoint / (name + ".raw"); };
  write_raw(raw("weight"), elements,
            [&](std::uint64_t block, std::span<float> out) { weights_of_block(pattern, block, step, out); });
  write_raw(raw("first"), elements, [&](std::uint64_t block, std::span<float> out) {
    copy_rotated(pattern.first, rotation(block, step), out);
  });
  write_raw(raw("second"), elements, [&](std::uint64_t block, std::span<float> out) {
    copy_rotated(pattern.second, rotation(block, step), out);
  });
  const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(elements)};
  {
    const MappedFile weight(raw("weight")), first(raw("first")), second(raw("second"));
    write_safetensors(checkpoint / "model.safetensors", {{"weight", DType::kF32, shape, weight.bytes()}});
    write_optimizer(checkpoint / "optimizer.pt", step, shape, first.bytes(), second.bytes());
  }
  for (const char* name : {"weight", "first", "second"}) fs::remove(raw(name));
  write_file_atomically(checkpoint / "trainer_state.json",
                        as_bytes("{\"global_step\": " + std::to_string(step) + "}\n"));
}

}  // namespace kinglet::bench
