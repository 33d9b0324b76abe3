// A step's container: what its index promises holds, every piece decodes or is refused, and the decoded pieces fill the
// user's files exactly. Inputs: step_container.h.
#include <algorithm>
#include <numeric>

#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/step_container.h"

#include "kinglet/base/byte_io.h"
#include "kinglet/methods/excp/step_decoder.h"

namespace kinglet::fuzz {
namespace {

using excp::StepFile;
using excp::StepIndex;

class Decoder {
 public:
  explicit Decoder(const StepFile& step) : step_(step), delivered_(step.index().files.size()) {}

  void run() {
    const StepIndex& index = step_.index();
    for (const excp::StoredParameter& parameter : index.parameters) decode(parameter);
    for (std::size_t file = 0; file < index.files.size(); ++file) decode_file(file);
    if (!complete_) return;
    for (std::size_t file = 0; file < index.files.size(); ++file) {
      require(delivered_[file] == index.files[file].size, "the pieces fill their file");
    }
  }

 private:
  void piece(const std::function<void()>& body) {
    if (!accepted(body)) complete_ = false;
  }

  void decode(const excp::StoredParameter& parameter) {
    for (const auto& region : parameter.regions) {
      if (region) owned_.push_back(*region);
    }
    for (std::uint64_t block = 0; block < excp::block_count(parameter.n); ++block) {
      const std::uint64_t n = parameter.has_reference ? excp::block_size(parameter.n, block) : 0;
      std::vector<float> reference(n, kStartReference), alone = reference;
      piece([&] { excp::decode_parameter_block(step_, parameter, block, reference, deliver_); });
      if (!parameter.has_reference) continue;
      const bool advanced = accepted([&] { excp::advance_reference(step_, parameter, block, alone); });
      require(!complete_ || (advanced &&
                             std::ranges::equal(std::as_bytes(std::span(alone)), std::as_bytes(std::span(reference)))),
              "the reference moves alike with and without moments");
    }
  }

  void decode_file(std::size_t number) {
    const excp::StoredFile& file = step_.index().files[number];
    for (std::size_t region = 0; region < file.regions.size(); ++region) {
      const RegionRef ref{number, region};
      if (std::find(owned_.begin(), owned_.end(), ref) != owned_.end()) continue;
      for (std::uint64_t block = 0; block < excp::block_count(file.regions[region].array->n); ++block) {
        piece([&] { excp::decode_array_region(step_, ref, block, deliver_); });
      }
    }
    for (std::size_t chunk = 0; chunk < file.chunks.size(); ++chunk) {
      piece([&] {
        const Bytes bytes = step_.read_chunk(file.chunks[chunk], {});
        excp::deliver_chunk(step_.index(), number, chunk, bytes, deliver_);
      });
    }
  }

  const StepFile& step_;
  std::vector<std::uint64_t> delivered_;
  std::vector<RegionRef> owned_;
  bool complete_ = true;
  excp::Deliver deliver_ = [this](std::size_t file, std::uint64_t offset, ByteView bytes, bool) {
    require(file < delivered_.size(), "pieces belong to a file");
    const std::uint64_t size = step_.index().files[file].size;
    require(offset <= size && bytes.size() <= size - offset, "pieces lie in their file");
    delivered_[file] += bytes.size();
  };
};

void check_index(const StepIndex& index, std::uint64_t payload_end) {
  Bytes written, again;
  excp::append_index(index, written);
  excp::append_index(excp::parse_index(written, payload_end, "written"), again);
  require(written == again, "an index survives being written");
}

void check_parts(ByteView input) {
  StepIndex index;
  ByteView payload;
  const bool parsed = accepted([&] {
    ByteReader reader(input, "input");
    payload = reader.take(reader.number<std::uint16_t>());
    index = excp::parse_index(reader.take(reader.remaining()), kContainerHeader + payload.size(), "input");
  });
  if (!parsed) return;
  check_index(index, kContainerHeader + payload.size());
  if (!is_small(index)) return;
  seal(index, payload);
  const Bytes container = make_container(index, payload);
  const StepFile step(container, "container");
  require(step.content() == excp::content_hash(index), "the content hash is that of the index");
  Decoder(step).run();
}

void check_container(ByteView input) {
  Bytes container(input.begin(), input.end());
  repair_footer(container);
  accepted([&] {
    const StepFile step(container, "input");
    if (is_small(step.index())) Decoder(step).run();
  });
}

void check_step_file(ByteView input) {
  if (input.empty()) return;
  if (input[0] == std::byte{0}) check_parts(input.subspan(1));
  if (input[0] == std::byte{1}) check_container(input.subspan(1));
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(step_file, kinglet::fuzz::check_step_file)
