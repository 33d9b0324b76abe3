#include "tests/fuzz/step_container.h"

#include <cstring>
#include <set>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/base/byte_io.h"
#include "kinglet/base/hash.h"
#include "kinglet/methods/excp/delta_codec.h"
#include "kinglet/methods/excp/lossless_codec.h"

namespace kinglet::fuzz {
namespace {

constexpr std::uint64_t kFooterBytes = 64;

using excp::block_size;

class Sealer {
 public:
  Sealer(excp::StepIndex& index, ByteView payload) : index_(index), payload_(payload) {}

  void run() {
    for (excp::StoredParameter& parameter : index_.parameters) {
      if (parameter.has_reference) references_.insert(*parameter.regions[excp::kWeight]);
      if (parameter.frame) seal_frame(parameter);
    }
    for (std::size_t file = 0; file < index_.files.size(); ++file) {
      excp::StoredFile& stored = index_.files[file];
      for (std::size_t region = 0; region < stored.regions.size(); ++region) {
        if (stored.regions[region].array)
          seal_array(*stored.regions[region].array, references_.contains({file, region}));
      }
      for (excp::StoredChunk& chunk : stored.chunks) seal_chunk(chunk);
    }
  }

 private:
  // Payload offsets count from the start of the container. parse_index allows them to point into its header, of which
  // nothing is known here.
  ByteView payload(std::uint64_t offset, std::uint64_t length) const {
    return offset < kContainerHeader ? ByteView() : payload_.subspan(offset - kContainerHeader, length);
  }

  void seal_frame(excp::StoredParameter& parameter) {
    std::uint64_t at = parameter.payload_offset;
    for (std::uint64_t block = 0; block < parameter.frame->blocks.size(); ++block) {
      excp::DeltaBlock& record = parameter.frame->blocks[block];
      const ByteView bytes = payload(at, record.payload_bytes());
      at += record.payload_bytes();
      record.payload_hash = xxh3(bytes);
      std::vector<float> reference(block_size(parameter.n, block), kStartReference);
      accepted([&] {
        excp::decode_block(*parameter.frame, block, bytes, {reference, {}, {}, {}}, "sealing", false);
        record.reference_hash = xxh3(std::as_bytes(std::span(reference)));
      });
    }
  }

  void seal_array(excp::StoredArray& array, bool is_reference) {
    std::uint64_t at = array.offset;
    for (std::uint64_t block = 0; block < array.blocks.size(); ++block) {
      excp::StoredArray::Block& record = array.blocks[block];
      const ByteView bytes = payload(at, record.length);
      at += record.length;
      record.payload_hash = xxh3(bytes);
      const std::uint64_t n = block_size(array.n, block);
      std::vector<float> reference(n, kStartReference);
      Bytes elements(n * item_size(array.dtype)), prediction;
      if (array.predicted) {
        prediction.resize(elements.size());
        store_f32(reference.data(), n, array.dtype, prediction.data());
      }
      accepted([&] {
        excp::decode_array_block(bytes, array.dtype, prediction, elements, "sealing");
        if (is_reference) load_f32({array.dtype, elements}, 0, n, reference.data());
        record.content_hash = xxh3(is_reference ? std::as_bytes(std::span(reference)) : ByteView(elements));
      });
    }
  }

  void seal_chunk(excp::StoredChunk& chunk) {
    Bytes bytes(chunk.size);
    accepted([&] {
      const ByteView coded = payload(chunk.offset, chunk.length);
      if (chunk.after_parent)
        excp::decompress_after(coded, {}, bytes, "sealing");
      else
        excp::decompress_bytes(coded, excp::Coder::kZstd, bytes, "sealing");
      chunk.hash = xxh3(bytes);
    });
  }

  excp::StepIndex& index_;
  ByteView payload_;
  std::set<RegionRef> references_;  // weights whose content hash is that of their fp32 values
};

// A zstd frame with one raw block: much cheaper than a compressor.
Bytes stored_zstd(ByteView bytes) {
  Bytes frame;
  ByteWriter writer(frame);
  writer.number(std::uint32_t{0xFD2FB528});
  writer.number(std::uint8_t{0xA0});  // single segment, content size of 4 bytes
  writer.number(static_cast<std::uint32_t>(bytes.size()));
  const auto block = static_cast<std::uint32_t>(bytes.size() << 3 | 1);  // last, raw
  for (int shift = 0; shift < 24; shift += 8) writer.number(static_cast<std::uint8_t>(block >> shift));
  writer.bytes(bytes);
  return frame;
}

}  // namespace

bool is_small(const excp::StepIndex& index) { return index.original_bytes() <= kMaxFileBytes; }

void seal(excp::StepIndex& index, ByteView payload) { Sealer(index, payload).run(); }

Bytes make_container(const excp::StepIndex& index, ByteView payload) {
  Bytes bytes, container;
  excp::append_index(index, bytes);
  ByteWriter writer(container);
  writer.bytes(as_bytes("KNGLEXCP"));
  writer.number(std::uint32_t{1});
  writer.number(std::uint32_t{0});
  writer.bytes(payload);
  const Bytes coded = stored_zstd(bytes);
  writer.bytes(coded);
  writer.number(std::uint64_t{kContainerHeader + payload.size()});
  writer.number(std::uint64_t{coded.size()});
  writer.number(std::uint64_t{bytes.size()});
  writer.number(xxh3(bytes));
  writer.number(xxh3(coded));
  writer.number(std::uint64_t{container.size() + 24});
  writer.number(std::uint64_t{0});
  writer.bytes(as_bytes("EXCPEND."));
  repair_footer(container);
  return container;
}

void repair_footer(Bytes& container) {
  if (container.size() < kFooterBytes) return;
  std::byte* const footer = container.data() + container.size() - kFooterBytes;
  const std::uint64_t hash = xxh3(ByteView(footer, kFooterBytes - 16));
  std::memcpy(footer + kFooterBytes - 16, &hash, sizeof(hash));
}

}  // namespace kinglet::fuzz
