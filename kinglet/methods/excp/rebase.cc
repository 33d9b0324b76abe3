#include "kinglet/methods/excp/rebase.h"

#include <set>
#include <vector>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/progress.h"
#include "kinglet/methods/excp/array_encoder.h"
#include "kinglet/methods/excp/lossless_codec.h"
#include "kinglet/methods/excp/step_decoder.h"

namespace kinglet::excp {
namespace {

class KeyEncoder {
 public:
  KeyEncoder(const StepChain& chain, StepWriter& writer)
      : chain_(chain),
        step_(chain.newest()),
        progress_(fmt::format("rebasing step {}", step_.index().step), step_.index().original_bytes(),
                  Progress::Unit::kBytes),
        queue_(writer, progress_) {}

  StepIndex encode() {
    index_ = step_.index();
    index_.parent.reset();
    index_.parent_content = 0;
    index_.key_reason = "rebased";
    for (StoredParameter& parameter : index_.parameters) encode_parameter(parameter);
    for (std::size_t file = 0; file < index_.files.size(); ++file) {
      encode_other_arrays(file);
      encode_chunks(file);
    }
    queue_.flush();
    return std::move(index_);
  }

 private:
  void encode_parameter(StoredParameter& parameter) {
    const StoredParameter& old =
        step_.index().parameters[static_cast<std::size_t>(&parameter - index_.parameters.data())];
    parameter.frame.reset();
    parameter.payload_offset = 0;
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      if (!old.regions[stream]) continue;
      owned_.insert(*old.regions[stream]);
      StoredRegion& region = index_.files[old.regions[stream]->file].regions[old.regions[stream]->region];
      const bool as_reference = stream == kWeight && old.has_reference && !is_exact(old);
      const DType dtype = as_reference ? DType::kF32 : region.dtype;
      const auto encode = [this, &old, stream, dtype, as_reference](std::uint64_t block, Bytes& out) {
        const Bytes elements = as_reference ? reference_block(old, block) : region_block(old, stream, block);
        encode_array_block(elements, dtype, {}, out);
        return stream == kWeight && old.has_reference ? reference_hash(step_.index(), old, block) : xxh3(elements);
      };
      queue_array(region, dtype, old.n, false, encode, queue_);
    }
  }

  // Whether the weights are stored as they were added.
  bool is_exact(const StoredParameter& old) const {
    const StoredRegion& weight = step_.index().region(*old.regions[kWeight]);
    return weight.array && weight.array->dtype == weight.dtype;
  }

  Bytes reference_block(const StoredParameter& old, std::uint64_t block) const {
    Bytes bytes(block_size(old.n, block) * sizeof(float));
    chain_.reference(chain_.last(), old.name, block,
                     {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)});
    return bytes;
  }

  // One block of one of the parameter's arrays as `get` writes it.
  Bytes region_block(const StoredParameter& old, std::size_t stream, std::uint64_t block) const {
    std::vector<float> reference(old.has_reference ? block_size(old.n, block) : 0);
    if (old.has_reference && needs_parent(step_.index(), old)) {
      chain_.reference(chain_.last() - 1, old.name, block, reference);
    }
    const RegionRef wanted = *old.regions[stream];
    const StoredRegion& region = step_.index().region(wanted);
    Bytes content;
    decode_parameter_block(
        step_, old, block, reference, [&](std::size_t file, std::uint64_t offset, ByteView bytes, bool) {
          if (file != wanted.file || offset < region.offset || offset >= region.offset + region.bytes) return;
          content.assign(bytes.begin(), bytes.end());
        });
    return content;
  }

  void encode_other_arrays(std::size_t file) {
    for (std::size_t number = 0; number < index_.files[file].regions.size(); ++number) {
      const RegionRef ref{file, number};
      if (owned_.contains(ref)) continue;
      const StoredArray& old = *step_.index().region(ref).array;
      const auto encode = [this, ref, dtype = old.dtype](std::uint64_t block, Bytes& out) {
        std::uint64_t hash = 0;
        decode_array_region(step_, ref, block, [&](std::size_t, std::uint64_t, ByteView bytes, bool) {
          encode_array_block(bytes, dtype, {}, out);
          hash = xxh3(bytes);
        });
        return hash;
      };
      queue_array(index_.files[file].regions[number], old.dtype, old.n, false, encode, queue_);
    }
  }

  void encode_chunks(std::size_t file) {
    for (std::size_t number = 0; number < index_.files[file].chunks.size(); ++number) {
      StoredChunk& chunk = index_.files[file].chunks[number];
      chunk.after_parent = false;
      queue_.add({chunk.size,
                  [this, &chunk, file, number](Bytes& out) {
                    out = compress_bytes(chain_.chunk(chain_.last(), file, number));
                    chunk.payload_hash = xxh3(out);
                  },
                  [&chunk](std::uint64_t offset, std::uint64_t length) {
                    chunk.offset = offset;
                    chunk.length = length;
                  }});
    }
  }

  const StepChain& chain_;
  const StepFile& step_;
  Progress progress_;
  PayloadQueue queue_;
  StepIndex index_;
  std::set<RegionRef> owned_;
};

}  // namespace

StepIndex encode_as_key(const StepChain& chain, StepWriter& writer) {
  StepIndex index = KeyEncoder(chain, writer).encode();
  if (content_hash(index) != chain.newest().content()) {
    throw failed(chain.newest().where(), "the key frame differs from the step that it replaces", "verify the store");
  }
  return index;
}

}  // namespace kinglet::excp
