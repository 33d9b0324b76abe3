// Is rANS the right coder for class indices? Against order-0 entropy (the limit), xz -9 and zstd -19 on the same
// streams: bits a symbol and speed on one core.
//   build/bench/excp_coders                          made-up streams of three densities
//   build/bench/excp_coders PREVIOUS CHECKPOINT...   the streams of real deltas as well, each to the one before
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include <lzma.h>
#include <zstd.h>

#include "bench/support/stopwatch.h"

#include "kinglet/base/error.h"
#include "kinglet/base/parallel.h"
#include "kinglet/base/rng.h"
#include "kinglet/io/checkpoint.h"
#include "kinglet/kernels/quantize.h"
#include "kinglet/kernels/rans.h"
#include "kinglet/methods/excp/delta_codec.h"
#include "kinglet/methods/excp/symbol_stream.h"

namespace {

using namespace kinglet;
using namespace kinglet::excp;
using bench::cpu_seconds_of;

using Symbols = std::vector<std::uint8_t>;
constexpr int kBits = 4;

std::size_t xz_size(const Symbols& bytes) {
  std::vector<std::uint8_t> out(lzma_stream_buffer_bound(bytes.size()));
  std::size_t size = 0;
  lzma_easy_buffer_encode(9, LZMA_CHECK_NONE, nullptr, bytes.data(), bytes.size(), out.data(), &size, out.size());
  return size;
}

std::size_t zstd_size(const Symbols& bytes) {
  std::vector<std::uint8_t> out(ZSTD_compressBound(bytes.size()));
  return ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 19);
}

// Bits.
struct Totals {
  double entropy = 0, rans = 0, xz = 0, zstd = 0;

  void add(const Totals& other) {
    entropy += other.entropy;
    rans += other.rans;
    xz += other.xz;
    zstd += other.zstd;
  }
};

// Pieces that are coded one by one with rANS (tensors, blocks); the others get them all in one file, two symbols a
// byte, which is in their favour.
Totals compare_coders(const char* name, const std::vector<Symbols>& pieces) {
  Symbols all;
  double entropy = 0;
  for (const Symbols& piece : pieces) {
    all.insert(all.end(), piece.begin(), piece.end());
    entropy += order0_entropy_bits(piece);
  }
  if (all.empty()) return {};
  const auto n = static_cast<double>(all.size());
  Symbols packed((all.size() * kBits + 7) / 8);
  pack_bits(all.data(), all.size(), kBits, packed.data());
  Bytes coded;
  std::vector<std::size_t> ends;
  const double encode = cpu_seconds_of([&] {
    coded.clear();
    ends.clear();
    for (const Symbols& piece : pieces) {
      encode_symbols(piece, kBits, Coder::kRans, coded);
      ends.push_back(coded.size());
    }
  });
  Symbols decoded(all.size());
  const double decode = cpu_seconds_of([&] {
    std::size_t begin = 0, at = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      decode_symbols(ByteView(coded).subspan(begin, ends[i] - begin), kBits, Coder::kRans,
                     std::span(decoded).subspan(at, pieces[i].size()), name);
      begin = ends[i];
      at += pieces[i].size();
    }
  });
  if (decoded != all) throw failed(name, "rANS did not return the symbols");
  std::size_t xz = 0, zstd = 0;
  const double xz_seconds = cpu_seconds_of([&] { xz = xz_size(packed); }, 1);
  const double zstd_seconds = cpu_seconds_of([&] { zstd = zstd_size(packed); }, 1);
  const auto bits = [n](std::size_t bytes) { return 8.0 * static_cast<double>(bytes) / n; };
  const double rans = bits(coded.size());
  std::printf("%-26s %9zu %8.4f %8.4f %7.2f%% %8.4f %8.4f %7.2f %7.2f %7.0fx %7.0fx\n", name, all.size(), entropy / n,
              rans, 100 * (rans * n / entropy - 1), bits(xz), bits(zstd), 4 * n / encode * 1e-9, 4 * n / decode * 1e-9,
              xz_seconds / encode, zstd_seconds / encode);
  return {entropy, rans * n, 8.0 * static_cast<double>(xz), 8.0 * static_cast<double>(zstd)};
}

void print_header(const char* title) {
  std::printf("\n%s: bits a symbol; rANS in GB/s of fp32 elements; times of the others in rANS times\n", title);
  std::printf("%-26s %9s %8s %8s %8s %8s %8s %7s %7s %8s %8s\n", "", "symbols", "entropy", "rANS", "over", "xz -9",
              "zstd -19", "enc", "dec", "xz", "zstd");
}

void compare_on_made_up_streams() {
  print_header("Independent symbols, one block");
  for (const double density : {0.5, 0.1, 0.014}) {
    Rng rng(5);
    Symbols classes(kBlockElements);
    for (auto& value : classes) value = static_cast<std::uint8_t>(rng.uniform() < density ? 1 + rng.below(15) : 0);
    compare_coders(fmt::format("{:.1f} % not zero", 100 * density).c_str(), {classes});
  }
}

// ------------------------------------------------------------------------------------------ streams of real deltas

// Classes back from values that are exactly centres, or zero.
Symbols classes_of(const std::vector<float>& values, const Codebook& centres) {
  Symbols classes(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == 0) continue;
    const auto centre = std::lower_bound(centres.begin(), centres.end(), values[i]);
    classes[i] = static_cast<std::uint8_t>(1 + (centre - centres.begin()));
  }
  return classes;
}

Symbols only_where(const Symbols& selector, const Symbols& values) {
  Symbols kept;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (selector[i] != 0) kept.push_back(values[i]);
  }
  return kept;
}

// The three streams of a delta, piece by piece as the container codes them. [specification 2.7, joint coding]
struct Streams {
  std::vector<Symbols> weights, first_moments, second_moments;

  void add(const Checkpoint& previous, const Checkpoint& checkpoint, const Options& options) {
    std::map<std::string, const Parameter*> before;
    for (const Parameter& parameter : previous.parameters()) before[parameter.name] = &parameter;
    for (const Parameter& parameter : checkpoint.parameters()) {
      const auto found = before.find(parameter.name);
      if (found == before.end() || !parameter.first_moment || !parameter.second_moment) continue;
      add(array(previous, found->second->weight), array(checkpoint, parameter.weight),
          array(checkpoint, *parameter.first_moment), array(checkpoint, *parameter.second_moment), options);
    }
  }

 private:
  static NumberArray array(const Checkpoint& checkpoint, RegionRef ref) {
    return {checkpoint.files()[ref.file].regions[ref.region].dtype, checkpoint.bytes(ref)};
  }

  void add(const NumberArray& previous, const NumberArray& weight, const NumberArray& first, const NumberArray& second,
           const Options& options) {
    const std::size_t n = weight.size();
    if (previous.size() != n) return;
    std::vector<float> reference(n);
    load_f32(previous, 0, n, reference.data());
    Bytes payload;
    const DeltaFrame frame =
        encode_delta({"bench", n, 0, weight, first, second, {}, reference}, options,
                     [&](ByteView bytes) { payload.insert(payload.end(), bytes.begin(), bytes.end()); });
    std::uint64_t at = 0;
    for (std::uint64_t block = 0; block < frame.blocks.size(); ++block) {
      const std::uint64_t size = block_size(n, block);
      // From a reference of zeros the "reconstruction" is the centre itself.
      std::vector<float> w(size), m(size), v(size);
      const ByteView bytes = ByteView(payload).subspan(at, frame.blocks[block].payload_bytes());
      decode_block(frame, block, bytes, {w, m, v, {}}, "bench", /*check_reference=*/false);
      at += bytes.size();
      weights.push_back(classes_of(w, frame.codebooks[kWeight]));
      add_moments(weights.back(), classes_of(m, frame.codebooks[kFirst]), classes_of(v, frame.codebooks[kSecond]));
    }
  }
  void add_moments(const Symbols& weight, const Symbols& m, const Symbols& v) {
    first_moments.push_back(only_where(weight, m));
    second_moments.push_back(only_where(m, v));
  }
};

void compare_on_deltas(const std::vector<Checkpoint>& checkpoints) {
  print_header("Real deltas, tensor by tensor");
  for (const double lambda : {0.5, 1.0, 2.5}) {
    Options options;
    options.lambda = lambda;
    Streams streams;
    for (std::size_t i = 1; i < checkpoints.size(); ++i) streams.add(checkpoints[i - 1], checkpoints[i], options);
    Totals total;
    total.add(compare_coders(fmt::format("lambda {}, weights", lambda).c_str(), streams.weights));
    total.add(compare_coders(fmt::format("lambda {}, first moment", lambda).c_str(), streams.first_moments));
    total.add(compare_coders(fmt::format("lambda {}, second moment", lambda).c_str(), streams.second_moments));
    std::printf("  together: rANS %.2f %% over the entropy; xz is %+.1f %% and zstd %+.1f %% to rANS in size\n",
                100 * (total.rans / total.entropy - 1), 100 * (total.xz / total.rans - 1),
                100 * (total.zstd / total.rans - 1));
  }
}

}  // namespace

int main(int argc, char** argv) {
  set_num_threads(1);
  try {
    compare_on_made_up_streams();
    std::vector<Checkpoint> checkpoints;
    for (int i = 1; i < argc; ++i) checkpoints.push_back(Checkpoint::open(argv[i]));
    if (checkpoints.size() > 1) compare_on_deltas(checkpoints);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
