#include "kinglet/io/inspect.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/gguf_dequantize.h"
#include "kinglet/io/pickle.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/io/torch_file.h"
#include "kinglet/io/torch_globals.h"
#include "kinglet/io/torch_legacy.h"
#include "kinglet/io/zip.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kFirstElements = 8;

bool starts_with(ByteView bytes, std::string_view signature) {
  return bytes.size() >= signature.size() && std::memcmp(bytes.data(), signature.data(), signature.size()) == 0;
}

std::uint64_t element_count(const std::vector<std::int64_t>& shape) {
  std::uint64_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::uint64_t>(size);
  return count;
}

// Collects the tensors of one file or folder as the options ask.
class TensorList {
 public:
  explicit TensorList(const InspectOptions& options) : options_(options) {}

  // `data` starts at the first element; `strides` in elements.
  void add(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape, ByteView data,
           const std::vector<std::int64_t>& strides) {
    const bool alone = !options_.tensor.empty();
    if (alone && name != options_.tensor) return;
    InspectedTensor tensor{name, dtype, shape, element_count(shape) * item_size(dtype), {}, {}};
    // An expanded view may have any number of elements in a file of any size.
    const bool expanded = tensor.bytes > data.size();
    if ((options_.statistics || alone) && !expanded) {
      tensor.statistics = tensor_statistics(dtype, data, shape, strides);
    }
    if (alone) {
      for (std::uint64_t i = 0; i < std::min<std::uint64_t>(element_count(shape), kFirstElements); ++i) {
        tensor.first_elements.push_back(tensor_element(dtype, data, shape, strides, i));
      }
    }
    tensors_.push_back(std::move(tensor));
  }

  void add(const GgufTensor& tensor) {
    const auto plain = plain_dtype(tensor.type);
    if (plain) return add(tensor.name, *plain, tensor.shape, tensor.data, row_major_strides(tensor.shape));
    const bool alone = tensor.name == options_.tensor;
    if (!options_.tensor.empty() && !alone) return;
    if ((options_.statistics || alone) && can_dequantize(tensor.type)) {
      const std::vector<float> numbers = dequantize(tensor);
      add(tensor.name, DType::kF32, tensor.shape, std::as_bytes(std::span(numbers)), row_major_strides(tensor.shape));
    } else {
      tensors_.push_back({tensor.name, DType::kF32, tensor.shape, 0, {}, {}});
    }
    tensors_.back().bytes = tensor.data.size();
    tensors_.back().block_type = gguf_type_name(tensor.type);
  }

  std::vector<InspectedTensor> finish(const std::string& where) && {
    if (!options_.tensor.empty() && tensors_.empty()) {
      throw bad_input(where, fmt::format("has no tensor '{}'", options_.tensor), "list the names without --tensor");
    }
    return std::move(tensors_);
  }

 private:
  const InspectOptions& options_;
  std::vector<InspectedTensor> tensors_;
};

void inspect_pickle(const PickleDocument& document, const InspectOptions& options, Inspection& result) {
  for (const std::string& name : pickle_globals(document)) result.globals.push_back({name, !is_known_global(name)});
  if (options.pickle) result.pickle = dump_pickle(document);
}

// ---- kinds of files --------------------------------------------------------------------------------------------

void inspect_safetensors(ByteView bytes, const InspectOptions& options, Inspection& result) {
  result.kind = "safetensors file";
  const SafetensorsHeader header = parse_safetensors(bytes, result.path);
  result.metadata = header.metadata;
  TensorList tensors(options);
  for (const SafetensorsEntry& entry : header.entries) {
    tensors.add(entry.name, entry.dtype, entry.shape, bytes.subspan(entry.begin, entry.end - entry.begin),
                row_major_strides(entry.shape));
  }
  result.tensors = std::move(tensors).finish(result.path);
}

void inspect_torch(ByteView bytes, const InspectOptions& options, Inspection& result) {
  const TorchFile file = TorchFile::parse(bytes, result.path, /*strict=*/false);
  result.kind = file.format() == TorchFile::Format::kZip ? "PyTorch file (zip)" : "PyTorch file (legacy)";
  inspect_pickle(file.document(), options, result);
  TensorList tensors(options);
  for (const TorchFile::Named& named : file.named_tensors()) {
    const TorchTensor& tensor = *named.tensor;
    const TorchStorage& storage = file.storages()[tensor.storage];
    const std::uint64_t skip = static_cast<std::uint64_t>(tensor.storage_offset) * item_size(tensor.dtype);
    const ByteView data = bytes.subspan(storage.offset, storage.bytes);
    tensors.add(named.path, tensor.dtype, tensor.shape, data.subspan(std::min<std::uint64_t>(skip, data.size())),
                tensor.strides);
  }
  result.tensors = std::move(tensors).finish(result.path);
}

void inspect_gguf(ByteView bytes, const InspectOptions& options, Inspection& result) {
  const Gguf content = Gguf::parse(bytes, result.path);
  result.kind = fmt::format("GGUF file, version {}", content.version());
  for (const GgufValue& value : content.metadata()) result.metadata[value.key] = content.show(value, kFirstElements);
  TensorList tensors(options);
  for (const GgufTensor& tensor : content.tensors()) tensors.add(tensor);
  result.tensors = std::move(tensors).finish(result.path);
}

// The arrays of MNIST: two zero bytes, element type, number of dimensions, sizes (u32 big-endian), elements.
bool inspect_idx(ByteView bytes, Inspection& result) {
  static constexpr std::array<std::pair<int, DType>, 6> kTypes = {{{0x08, DType::kU8},
                                                                   {0x09, DType::kI8},
                                                                   {0x0B, DType::kI16},
                                                                   {0x0C, DType::kI32},
                                                                   {0x0D, DType::kF32},
                                                                   {0x0E, DType::kF64}}};
  if (bytes.size() < 4 || bytes[0] != std::byte{0} || bytes[1] != std::byte{0}) return false;
  const auto type = std::find_if(kTypes.begin(), kTypes.end(),
                                 [&](const auto& known) { return known.first == std::to_integer<int>(bytes[2]); });
  const auto dimensions = std::to_integer<std::size_t>(bytes[3]);
  if (type == kTypes.end() || dimensions == 0 || dimensions > 8 || bytes.size() < 4 + 4 * dimensions) return false;
  InspectedTensor array{"array", type->second, {}, bytes.size() - 4 - 4 * dimensions, {}, {}};
  std::uint64_t left = array.bytes / item_size(array.dtype);
  for (std::size_t d = 0; d < dimensions; ++d) {
    std::uint64_t size = 0;
    for (std::size_t b = 0; b < 4; ++b) size = size << 8 | std::to_integer<std::uint64_t>(bytes[4 + 4 * d + b]);
    if (size == 0 || left % size != 0) return false;
    left /= size;
    array.shape.push_back(static_cast<std::int64_t>(size));
  }
  if (left != 1) return false;
  result.kind = "IDX array (big-endian)";
  result.tensors.push_back(std::move(array));
  return true;
}

void inspect_zip(ByteView bytes, const InspectOptions& options, Inspection& result) {
  const std::vector<ZipEntry> entries = list_zip(bytes, result.path);
  const bool script = is_torch_script(entries);
  const bool saved = std::any_of(entries.begin(), entries.end(),
                                 [](const ZipEntry& entry) { return entry.name.ends_with("/data.pkl"); });
  if (saved && !script) {
    inspect_torch(bytes, options, result);
    return;
  }
  result.kind = script ? "TorchScript archive (program code; not read)" : "zip archive";
  for (const ZipEntry& entry : entries) result.metadata[entry.name] = fmt::format("{} bytes", entry.size);
}

bool is_excp_store(const fs::path& folder) {
  return fs::is_regular_file(folder / "manifest.json") && fs::is_directory(folder / "steps");
}

bool is_step_of_store(const fs::path& path) {
  const fs::path folder = fs::absolute(path).parent_path();
  return folder.filename() == "steps" && is_excp_store(folder.parent_path());
}

void inspect_file(const fs::path& path, const InspectOptions& options, Inspection& result) {
  const MappedFile file(path);
  const ByteView bytes = file.bytes();
  result.bytes = bytes.size();
  if (path.extension() == ".safetensors") {
    inspect_safetensors(bytes, options, result);
  } else if (starts_with(bytes, "PK\x03\x04")) {
    inspect_zip(bytes, options, result);
  } else if (is_legacy_torch(bytes)) {
    inspect_torch(bytes, options, result);
  } else if (starts_with(bytes, "GGUF")) {
    inspect_gguf(bytes, options, result);
  } else if (is_step_of_store(path)) {
    result.kind = "step of an ExCP checkpoint store";
    result.hint = fmt::format("kinglet ckpt info {}", fs::absolute(path).parent_path().parent_path().string());
  } else if (!bytes.empty() && bytes[0] == std::byte{0x80}) {
    result.kind = "pickle";
    inspect_pickle(parse_pickle(bytes, result.path), options, result);
  } else if (!inspect_idx(bytes, result)) {
    result.kind = starts_with(bytes, "\x1f\x8b") ? "gzip-compressed file" : "other file";
  }
  if (!options.tensor.empty() && result.tensors.empty()) {
    throw bad_input(result.path, fmt::format("has no tensor '{}'", options.tensor));
  }
}

// ---- checkpoints -----------------------------------------------------------------------------------------------

std::string moments_of(const Parameter& parameter) {
  if (parameter.max_second_moment) return "exp_avg, exp_avg_sq, max_exp_avg_sq";
  if (parameter.second_moment) return "exp_avg, exp_avg_sq";
  return parameter.first_moment ? "momentum" : "none";
}

InspectedCheckpoint describe(const Checkpoint& checkpoint) {
  InspectedCheckpoint result;
  for (const FileLayout& file : checkpoint.files()) {
    result.files.push_back({file.name, file.size, file.regions.size()});
  }
  for (const Parameter& parameter : checkpoint.parameters()) {
    const Region& weight = checkpoint.files()[parameter.weight.file].regions[parameter.weight.region];
    result.parameters.push_back({parameter.name, parameter.shape, weight.dtype, moments_of(parameter)});
  }
  result.optimizer = checkpoint.optimizer();
  result.pairing_rule = checkpoint.pairing_rule();
  result.step = checkpoint.step();
  result.notes = checkpoint.notes();
  return result;
}

// Parameters with their shapes, then every other array in the files as a flat one.
void list_checkpoint_tensors(const Checkpoint& checkpoint, const InspectOptions& options, Inspection& result) {
  TensorList tensors(options);
  std::set<RegionRef> shown;
  const auto add = [&](const std::string& name, const std::vector<std::int64_t>& shape, RegionRef place) {
    const Region& region = checkpoint.files()[place.file].regions[place.region];
    shown.insert(place);
    tensors.add(name, region.dtype, shape, checkpoint.bytes(place), row_major_strides(shape));
  };
  for (const Parameter& parameter : checkpoint.parameters()) {
    add(parameter.name, parameter.shape, parameter.weight);
    if (parameter.first_moment) add(parameter.name + " exp_avg", parameter.shape, *parameter.first_moment);
    if (parameter.second_moment) add(parameter.name + " exp_avg_sq", parameter.shape, *parameter.second_moment);
    if (parameter.max_second_moment) {
      add(parameter.name + " max_exp_avg_sq", parameter.shape, *parameter.max_second_moment);
    }
  }
  for (std::size_t f = 0; f < checkpoint.files().size(); ++f) {
    const FileLayout& file = checkpoint.files()[f];
    for (std::size_t r = 0; r < file.regions.size(); ++r) {
      if (shown.contains({f, r})) continue;
      const Region& region = file.regions[r];
      add(fmt::format("{}:{}", file.name, region.label),
          {static_cast<std::int64_t>(region.bytes / item_size(region.dtype))}, {f, r});
    }
  }
  result.tensors = std::move(tensors).finish(result.path);
}

void inspect_folder(const fs::path& path, const InspectOptions& options, Inspection& result) {
  if (is_excp_store(path)) {
    result.kind = "ExCP checkpoint store";
    result.hint = fmt::format("kinglet ckpt info {}", path.string());
    return;
  }
  result.kind = "checkpoint folder";
  const Checkpoint checkpoint = Checkpoint::open(path, {options.parameter_order, false});
  for (const FileLayout& file : checkpoint.files()) result.bytes += file.size;
  list_checkpoint_tensors(checkpoint, options, result);
  if (options.tensor.empty()) result.checkpoint = describe(checkpoint);
}

}  // namespace

Inspection inspect(const fs::path& path, const InspectOptions& options) {
  Inspection result;
  result.path = path.string();
  if (!fs::exists(path)) throw bad_input(result.path, "no such file or folder");
  if (fs::is_directory(path))
    inspect_folder(path, options, result);
  else
    inspect_file(path, options, result);
  return result;
}

}  // namespace kinglet
