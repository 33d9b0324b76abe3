// The .metadata file of a distributed checkpoint: chunks are sorted, apart and inside their tensors.
#include <algorithm>
#include <tuple>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/io/dcp.h"

namespace kinglet::fuzz {
namespace {

constexpr std::size_t kMaxTextPerByte = 4096;

void check_key(std::string_view name) {
  const DcpKey key = split_dcp_key(name);
  require(key.owner.size() <= name.size() && key.parameter.size() <= key.owner.size(), "a key is taken apart");
  require(key.component.empty() ? key.owner == name : key.owner.size() < name.size(), "the component is taken out");
}

void check_dcp(ByteView input) {
  std::vector<DcpChunk> chunks;
  if (!accepted([&] { chunks = parse_dcp_metadata(input, "input"); })) return;
  std::size_t text = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const DcpChunk& chunk = chunks[i];
    text += chunk.tensor.size() + chunk.file.size() + 8 * (chunk.offsets.size() + chunk.shape.size());
    require(chunk.offsets.size() == chunk.shape.size(), "a chunk has a place in every dimension");
    const auto negative = [](std::int64_t value) { return value < 0; };
    require(std::none_of(chunk.offsets.begin(), chunk.offsets.end(), negative) &&
                std::none_of(chunk.shape.begin(), chunk.shape.end(), negative),
            "places and sizes are not negative");
    require(!chunk.whole || std::all_of(chunk.offsets.begin(), chunk.offsets.end(),
                                        [](std::int64_t offset) { return offset == 0; }),
            "a whole tensor starts at its start");
    require(chunk.begin <= std::uint64_t{1} << 63 && chunk.length <= std::uint64_t{1} << 63,
            "the end of a chunk can be computed");
    check_key(chunk.tensor);
    if (i == 0 || chunks[i - 1].file != chunk.file) continue;
    require(chunks[i - 1].begin + chunks[i - 1].length <= chunk.begin, "chunks do not overlap");
  }
  require(text <= kMaxTextPerByte * input.size(), "texts are not larger than the input allows");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(dcp, kinglet::fuzz::check_dcp)
