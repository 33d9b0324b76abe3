// A safetensors file: what is accepted tiles the file, and survives being written again.
#include <algorithm>

#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/round_trip.h"

#include "kinglet/io/safetensors.h"

namespace kinglet::fuzz {
namespace {

std::vector<TensorView> checked_tensors(ByteView file, const SafetensorsHeader& header) {
  std::vector<TensorView> tensors;
  std::uint64_t at = header.header_bytes;
  for (const SafetensorsEntry& entry : header.entries) {
    require(entry.begin == at && entry.end >= entry.begin && entry.end <= file.size(), "tensors tile the data section");
    require(std::all_of(entry.shape.begin(), entry.shape.end(), [](std::int64_t size) { return size >= 0; }),
            "sizes are not negative");
    at = entry.end;
    tensors.push_back({entry.name, entry.dtype, entry.shape, file.subspan(entry.begin, entry.end - entry.begin)});
    require(static_cast<std::uint64_t>(tensors.back().numel()) * item_size(entry.dtype) == tensors.back().data.size(),
            "shape, dtype and bytes agree");
  }
  require(at == file.size(), "nothing follows the last tensor");
  return tensors;
}

void check_written(const std::vector<TensorView>& tensors, const SafetensorsHeader& header) {
  write_safetensors(scratch_file(), tensors, header.metadata);
  const SafetensorsFile file(scratch_file());
  require(file.header().metadata == header.metadata, "metadata survives");
  require(file.header().header_bytes % 64 == 0, "the data section is aligned");
  const std::vector<TensorView> again = file.tensors();
  require(std::equal(tensors.begin(), tensors.end(), again.begin(), again.end(),
                     [](const TensorView& a, const TensorView& b) {
                       return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape &&
                              std::ranges::equal(a.data, b.data);
                     }),
          "tensors survive");
}

void check_safetensors(ByteView input) {
  SafetensorsHeader header;
  if (!accepted([&] { header = parse_safetensors(input, "input"); })) return;
  const std::vector<TensorView> tensors = checked_tensors(input, header);
  if (is_written(input)) check_written(tensors, header);
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(safetensors, kinglet::fuzz::check_safetensors)
