#include "kinglet/methods/excp/step_encoder.h"

#include <map>
#include <memory>
#include <set>
#include <string_view>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/parallel.h"
#include "kinglet/kernels/statistics.h"
#include "kinglet/methods/excp/array_encoder.h"
#include "kinglet/methods/excp/delta_codec.h"
#include "kinglet/methods/excp/lossless_codec.h"
#include "kinglet/methods/excp/payload_queue.h"
#include "kinglet/methods/excp/skeleton.h"

namespace kinglet::excp {
namespace {

// Parameters up to this size are coded one a thread; larger ones by all threads together.
constexpr std::uint64_t kLargeParameter = 2 * kBlockElements;
// Parameters up to this size are kept exactly: a frame would cost more, and the median of a scalar's change is the
// change itself, which every lambda >= 1 would drop. [specification 8]
constexpr std::uint64_t kTinyParameter = 15;
// Opaque data beyond this is compressed without looking at the parent's version, unless the two are equal.
constexpr std::uint64_t kDearChunk = std::uint64_t{2} << 20;

bool same_tensor(const Checkpoint& checkpoint, const Parameter& parameter, const StepIndex& parent,
                 const StoredParameter* before) {
  const DType dtype = checkpoint.files()[parameter.weight.file].regions[parameter.weight.region].dtype;
  return before != nullptr && before->shape == parameter.shape &&
         parent.region(*before->regions[kWeight]).dtype == dtype;
}

bool has_nonfinite(const NumberArray& array) {
  std::vector<float> scratch(std::min<std::uint64_t>(array.size(), kBlockElements));
  for (std::uint64_t begin = 0; begin < array.size(); begin += kBlockElements) {
    const std::uint64_t n = std::min(kBlockElements, array.size() - begin);
    if (check_values(view_f32(array, begin, n, scratch.data()), n).nonfinite > 0) return true;
  }
  return false;
}

class StepEncoder {
 public:
  StepEncoder(const EncodeInput& input, ReferenceCache& reference, StepWriter& writer, Progress& progress)
      : input_(input), checkpoint_(input.checkpoint), reference_(reference), queue_(writer, progress) {}

  StepIndex encode() {
    describe_step();
    describe_files();
    describe_parameters();
    reference_.change_layout(index_);
    for (std::size_t i = 0; i < index_.parameters.size(); ++i) encode_parameter(index_.parameters[i]);
    encode_other_arrays();
    encode_skeletons();
    queue_.flush();
    for (const StoredParameter& parameter : index_.parameters)
      index_.lossy = index_.lossy || parameter.frame.has_value();
    return std::move(index_);
  }

 private:
  // ----------------------------------------------------------------------- the index without payloads

  void describe_step() {
    index_.step = input_.step;
    index_.is_folder = checkpoint_.is_folder();
    index_.settings = input_.parent == nullptr ? "key frame, lossless" : describe(input_.options);
    index_.key_reason = input_.key_reason;
    if (input_.parent == nullptr) return;
    index_.parent = input_.parent->newest().index().step;
    index_.parent_content = input_.parent->newest().content();
  }

  void describe_files() {
    for (const FileLayout& layout : checkpoint_.files()) {
      StoredFile file;
      file.name = layout.name;
      file.size = layout.size;
      file.checksums = layout.checksums;
      for (const Region& region : layout.regions) {
        file.regions.push_back({region.offset, region.bytes, region.dtype, {}, region.label});
      }
      index_.files.push_back(std::move(file));
    }
  }

  void describe_parameters() {
    for (const Parameter& parameter : checkpoint_.parameters()) {
      StoredParameter stored;
      stored.name = parameter.name;
      stored.shape = parameter.shape;
      stored.regions = {parameter.weight, parameter.first_moment, parameter.second_moment, parameter.max_second_moment};
      const StoredRegion& weight = index_.region(parameter.weight);
      stored.n = weight.bytes / item_size(weight.dtype);
      stored.has_reference = is_number_array(weight.dtype);
      for (const auto& region : stored.regions) {
        if (!region) continue;
        index_.files[region->file].regions[region->region].label.clear();  // the parameter's name says it
        owned_.insert(*region);
      }
      index_.parameters.push_back(std::move(stored));
    }
  }

  // ----------------------------------------------------------------------- parameters

  NumberArray numbers(RegionRef ref) const { return {index_.region(ref).dtype, checkpoint_.bytes(ref)}; }

  const StoredParameter* parent_of(std::size_t number) const {
    if (input_.parent == nullptr) return nullptr;
    const Parameter& parameter = checkpoint_.parameters()[number];
    const StoredParameter* before = input_.parent->find(input_.parent->last(), parameter.name);
    return same_tensor(checkpoint_, parameter, input_.parent->newest().index(), before) ? before : nullptr;
  }

  // Why a parameter of a lossy step is stored losslessly; empty when it need not be.
  std::string reason_for_lossless(const StoredParameter& parameter, bool has_parent) const {
    if (!parameter.has_reference) return "not floating point";
    if (!has_parent) return "new, or of another shape or type than before";
    if (parameter.n > UINT32_MAX) return "more than 2^32 elements";
    if (parameter.n <= kTinyParameter) return "too small to prune";
    if (input_.options.exact_1d && parameter.shape.size() <= 1) return "one-dimensional (--exact-1d)";
    for (const auto& region : parameter.regions) {
      if (!region) continue;
      if (!is_number_array(index_.region(*region).dtype)) return "moments that are not floating point";
      if (input_.options.allow_nonfinite && has_nonfinite(numbers(*region))) return "NaN or infinity";
    }
    return {};
  }

  void encode_parameter(StoredParameter& parameter) {
    if (parameter.n == 0) return encode_arrays(parameter, false);
    const auto number = static_cast<std::size_t>(&parameter - index_.parameters.data());
    const bool has_parent = parent_of(number) != nullptr;
    if (input_.parent == nullptr || input_.options.lossless) return encode_arrays(parameter, has_parent);
    parameter.fallback = reason_for_lossless(parameter, has_parent);
    if (!parameter.fallback.empty()) return encode_arrays(parameter, has_parent);
    encode_frame(parameter);
  }

  DeltaInput delta_input(const StoredParameter& parameter) const {
    DeltaInput input;
    input.name = fmt::format("{}, {}", checkpoint_.path().string(), parameter.name);
    input.n = parameter.n;
    input.row_length = parameter.shape.size() < 2 ? 0 : static_cast<std::uint64_t>(parameter.shape.back());
    input.weight = numbers(*parameter.regions[kWeight]);
    if (parameter.regions[kFirst]) input.first_moment = numbers(*parameter.regions[kFirst]);
    if (parameter.regions[kSecond]) input.second_moment = numbers(*parameter.regions[kSecond]);
    if (parameter.regions[kMaxSecond]) input.max_second_moment = numbers(*parameter.regions[kMaxSecond]);
    input.reference = reference_.of(parameter.name);
    return input;
  }

  std::uint64_t raw_bytes(const StoredParameter& parameter) const {
    std::uint64_t bytes = 0;
    for (const auto& region : parameter.regions) bytes += region ? index_.region(*region).bytes : 0;
    return bytes;
  }

  void encode_frame(StoredParameter& parameter) {
    if (parameter.n > kLargeParameter) {
      queue_.run_alone(raw_bytes(parameter), [&](StepWriter& writer) {
        parameter.payload_offset = writer.position();
        parameter.frame =
            encode_delta(delta_input(parameter), input_.options, [&](ByteView payload) { writer.append(payload); });
      });
      return;
    }
    queue_.add({raw_bytes(parameter),
                [this, &parameter](Bytes& out) {
                  parameter.frame = encode_delta(delta_input(parameter), input_.options, [&](ByteView payload) {
                    out.insert(out.end(), payload.begin(), payload.end());
                  });
                },
                [&parameter](std::uint64_t offset, std::uint64_t) { parameter.payload_offset = offset; }});
  }

  void encode_arrays(StoredParameter& parameter, bool has_parent) {
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      if (!parameter.regions[stream]) continue;
      StoredRegion& region = region_of(*parameter.regions[stream]);
      const bool is_reference = stream == kWeight && parameter.has_reference;
      queue_elements(region, checkpoint_.bytes(*parameter.regions[stream]),
                     is_reference ? reference_.of(parameter.name) : std::span<float>(),
                     is_reference && has_parent && is_predictable(region.dtype), queue_);
    }
  }

  // ----------------------------------------------------------------------- everything else

  StoredRegion& region_of(RegionRef ref) { return index_.files[ref.file].regions[ref.region]; }

  void encode_other_arrays() {
    for (std::size_t file = 0; file < index_.files.size(); ++file) {
      for (std::size_t region = 0; region < index_.files[file].regions.size(); ++region) {
        const RegionRef ref{file, region};
        if (!owned_.contains(ref)) queue_elements(region_of(ref), checkpoint_.bytes(ref), {}, false, queue_);
      }
    }
  }

  void encode_skeletons() {
    for (std::size_t i = 0; i < index_.files.size(); ++i) {
      StoredFile& file = index_.files[i];
      const auto skeleton = std::make_shared<const Skeleton>(file.size, file.regions);
      file.chunks.resize(skeleton->chunk_count());
      const ByteView content = checkpoint_.bytes(checkpoint_.files()[i]);
      for (std::size_t number = 0; number < file.chunks.size(); ++number) {
        StoredChunk& chunk = file.chunks[number];
        queue_.add({skeleton->chunk_size(number),
                    [this, &file, &chunk, skeleton, content, number](Bytes& out) {
                      out = encode_chunk(skeleton->gather(content, number), parent_chunk(file.name, number), chunk);
                      chunk.payload_hash = xxh3(out);
                    },
                    [&chunk](std::uint64_t offset, std::uint64_t length) {
                      chunk.offset = offset;
                      chunk.length = length;
                    }});
      }
    }
  }

  Bytes parent_chunk(const std::string& name, std::size_t number) const {
    return input_.parent == nullptr ? Bytes() : input_.parent->chunk(input_.parent->last(), name, number);
  }

  static Bytes encode_chunk(const Bytes& bytes, const Bytes& parent, StoredChunk& chunk) {
    chunk.size = bytes.size();
    chunk.hash = xxh3(bytes);
    const bool try_parent = !parent.empty() && (bytes.size() <= kDearChunk || bytes == parent);
    Bytes alone = try_parent && bytes == parent ? Bytes() : compress_bytes(bytes);
    if (!try_parent) return alone;
    Bytes after = compress_after(bytes, parent);
    chunk.after_parent = alone.empty() || after.size() < alone.size();
    return chunk.after_parent ? std::move(after) : std::move(alone);
  }

  const EncodeInput& input_;
  const Checkpoint& checkpoint_;
  ReferenceCache& reference_;
  PayloadQueue queue_;
  StepIndex index_;
  std::set<RegionRef> owned_;  // regions of parameters
};

}  // namespace

StepIndex encode_step(const EncodeInput& input, ReferenceCache& reference, StepWriter& writer, Progress& progress) {
  return StepEncoder(input, reference, writer, progress).encode();
}

double changed_share(const Checkpoint& checkpoint, const StepIndex& parent) {
  std::map<std::string_view, const StoredParameter*> before;
  for (const StoredParameter& parameter : parent.parameters) {
    if (parameter.has_reference) before.emplace(parameter.name, &parameter);
  }
  double all = 0, changed = 0;
  for (const Parameter& parameter : checkpoint.parameters()) {
    const auto found = before.find(parameter.name);
    const auto bytes = static_cast<double>(checkpoint.bytes(parameter.weight).size());
    all += bytes;
    const bool same = same_tensor(checkpoint, parameter, parent, found == before.end() ? nullptr : found->second);
    if (!same) changed += bytes;
  }
  return all > 0 ? changed / all : 0;
}

std::string describe(const Options& options) {
  if (options.lossless) return "lossless";
  std::string text = options.lambda            ? fmt::format("lambda {:g}", *options.lambda)
                     : options.target_sparsity ? fmt::format("target sparsity {:g}", *options.target_sparsity)
                                               : fmt::format("alpha {:g}", options.alpha);
  text += fmt::format(", beta {:g}, {}/{} bits", options.beta, options.weight_bits, options.moment_bits);
  const auto note = [&](bool condition, std::string_view words) {
    if (condition) text += fmt::format(", {}", words);
  };
  note(options.scope == Scope::kElement, "element scope");
  note(options.median_of_nonzeros, "median of non-zeros");
  note(options.exact_1d, "exact 1-d");
  note(options.fill_pruned_second, "pruned second moments filled");
  note(!options.joint_mask, "no joint mask");
  note(!options.joint_coding, "separate streams");
  note(options.fp16_codebooks, "fp16 codebooks");
  note(options.sampled_kmeans, "sampled k-means");
  static constexpr std::string_view kCoders[] = {"rans", "zstd", "xz"};
  note(true, kCoders[static_cast<std::size_t>(options.coder)]);
  return text;
}

}  // namespace kinglet::excp
