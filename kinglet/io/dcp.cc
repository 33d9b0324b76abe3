#include "kinglet/io/dcp.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <tuple>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/pickle.h"

namespace kinglet {
namespace {

// Texts and places are copied a chunk; the memo lets a few bytes stand for any of them, so their size is limited.
constexpr std::size_t kMaxDcpText = 4096;
constexpr std::size_t kMaxDcpDimensions = 64;
constexpr std::size_t kMaxFields = 64;  // of a dataclass: they are searched one by one

constexpr std::string_view kDamagedMetadata = "the .metadata file is damaged or of an unknown version";

// A field of a pickled dataclass: its state is a dict, or (None, dict) for classes with slots.
const PickleValue* field(const PickleValue* object, std::string_view name) {
  if (object == nullptr || object->kind != PickleKind::kCall) return nullptr;
  const PickleValue* state = object->state;
  if (state != nullptr && state->kind == PickleKind::kTuple && state->items.size() == 2) state = state->items[1];
  const bool known = state != nullptr && state->kind == PickleKind::kDict && state->items.size() <= 2 * kMaxFields;
  return known ? state->find(name) : nullptr;
}

bool is_object_of(const PickleValue* value, std::string_view class_name) {
  if (value == nullptr || value->kind != PickleKind::kCall || value->items.empty()) return false;
  const PickleValue* callable = value->items.front();
  return callable->kind == PickleKind::kGlobal && callable->text.ends_with(fmt::format(" {}", class_name));
}

// A torch.Size (a call with one tuple) or a plain tuple of non-negative integers.
std::optional<std::vector<std::int64_t>> sizes(const PickleValue* value) {
  if (value == nullptr) return std::nullopt;
  if (value->kind == PickleKind::kCall && value->items.size() >= 2 && value->items[1]->kind == PickleKind::kTuple &&
      value->items[1]->items.size() == 1) {
    value = value->items[1]->items.front();
  }
  if (value->kind != PickleKind::kTuple && value->kind != PickleKind::kList) return std::nullopt;
  if (value->items.size() > kMaxDcpDimensions) return std::nullopt;
  std::vector<std::int64_t> result;
  for (const PickleValue* item : value->items) {
    if (item->kind != PickleKind::kInt || item->integer < 0) return std::nullopt;
    result.push_back(item->integer);
  }
  return result;
}

std::string text_field(const PickleValue* object, std::string_view name, std::string_view where) {
  const PickleValue* value = field(object, name);
  if (value == nullptr || value->kind != PickleKind::kString) {
    throw bad_input(where, fmt::format("no text field '{}'", name), kDamagedMetadata);
  }
  if (value->text.size() > kMaxDcpText)
    throw bad_input(where, fmt::format("field '{}' is too long", name), kDamagedMetadata);
  return value->text;
}

std::uint64_t count_field(const PickleValue* object, std::string_view name, std::string_view where) {
  const PickleValue* value = field(object, name);
  if (value == nullptr || value->kind != PickleKind::kInt || value->integer < 0) {
    throw bad_input(where, fmt::format("no count in field '{}'", name), kDamagedMetadata);
  }
  return static_cast<std::uint64_t>(value->integer);
}

struct TensorChunks {
  std::vector<std::int64_t> size;
  std::map<std::vector<std::int64_t>, std::vector<std::int64_t>> shape_at;  // chunk offsets -> chunk shape
};

std::map<std::string, TensorChunks> read_tensors(const PickleValue* metadata, std::string_view where) {
  const PickleValue* entries = field(metadata, "state_dict_metadata");
  if (entries == nullptr || entries->kind != PickleKind::kDict) {
    throw bad_input(where, "no dict 'state_dict_metadata'", kDamagedMetadata);
  }
  std::map<std::string, TensorChunks> tensors;
  for (std::size_t i = 0; i + 1 < entries->items.size(); i += 2) {
    const PickleValue* key = entries->items[i];
    const PickleValue* value = entries->items[i + 1];
    if (key->kind != PickleKind::kString || !is_object_of(value, "TensorStorageMetadata")) continue;
    const auto size = sizes(field(value, "size"));
    const PickleValue* chunks = field(value, "chunks");
    if (!size || chunks == nullptr || chunks->kind != PickleKind::kList) {
      throw bad_input(where, fmt::format("tensor '{}' has no size or chunks", key->text), kDamagedMetadata);
    }
    TensorChunks& tensor = tensors[key->text];
    tensor.size = *size;
    for (const PickleValue* chunk : chunks->items) {
      const auto offsets = sizes(field(chunk, "offsets"));
      const auto shape = sizes(field(chunk, "sizes"));
      if (!offsets || !shape || offsets->size() != size->size() || shape->size() != size->size()) {
        throw bad_input(where, fmt::format("a chunk of tensor '{}' has no place", key->text), kDamagedMetadata);
      }
      for (std::size_t d = 0; d < size->size(); ++d) {
        if ((*offsets)[d] > (*size)[d] || (*shape)[d] > (*size)[d] - (*offsets)[d]) {
          throw bad_input(where, fmt::format("a chunk of tensor '{}' is outside of it", key->text), kDamagedMetadata);
        }
      }
      tensor.shape_at[*offsets] = *shape;
    }
  }
  return tensors;
}

bool is_transformed(const PickleValue* info) {
  const PickleValue* transforms = field(info, "transform_descriptors");
  return transforms != nullptr && transforms->kind != PickleKind::kNone && !transforms->items.empty();
}

void check_ranges(const std::vector<DcpChunk>& chunks, std::string_view where) {
  for (std::size_t i = 1; i < chunks.size(); ++i) {
    const DcpChunk& before = chunks[i - 1];
    if (before.file == chunks[i].file && chunks[i].begin - before.begin < before.length) {
      throw bad_input(where, fmt::format("'{}' and '{}' overlap in {}", before.tensor, chunks[i].tensor, before.file),
                      kDamagedMetadata);
    }
  }
}

}  // namespace

std::vector<DcpChunk> parse_dcp_metadata(ByteView bytes, std::string_view where) {
  const PickleDocument document = parse_pickle(bytes, where);
  const std::map<std::string, TensorChunks> tensors = read_tensors(document.root, where);
  const PickleValue* places = field(document.root, "storage_data");
  if (places == nullptr || places->kind != PickleKind::kDict) {
    throw bad_input(where, "no dict 'storage_data'", kDamagedMetadata);
  }
  std::vector<DcpChunk> chunks;
  for (std::size_t i = 0; i + 1 < places->items.size(); i += 2) {
    const PickleValue* index = places->items[i];
    const PickleValue* info = places->items[i + 1];
    const std::string name = text_field(index, "fqn", where);
    const auto tensor = tensors.find(name);
    const auto offsets = sizes(field(index, "offset"));
    if (tensor == tensors.end() || !offsets) continue;  // an object, not a tensor
    const auto shape = tensor->second.shape_at.find(*offsets);
    if (shape == tensor->second.shape_at.end()) {
      throw bad_input(where, fmt::format("tensor '{}' has no chunk at the offset of its data", name), kDamagedMetadata);
    }
    DcpChunk chunk;
    chunk.tensor = name;
    chunk.offsets = *offsets;
    chunk.shape = shape->second;
    chunk.whole = chunk.shape == tensor->second.size;
    chunk.file = text_field(info, "relative_path", where);
    chunk.begin = count_field(info, "offset", where);
    chunk.length = count_field(info, "length", where);
    chunk.transformed = is_transformed(info);
    chunks.push_back(std::move(chunk));
  }
  std::sort(chunks.begin(), chunks.end(), [](const DcpChunk& a, const DcpChunk& b) {
    return std::tie(a.file, a.begin, a.tensor) < std::tie(b.file, b.begin, b.tensor);
  });
  check_ranges(chunks, where);
  return chunks;
}

DcpKey split_dcp_key(std::string_view key) {
  static constexpr std::array<std::string_view, 6> kComponents = {"exp_avg_sq",      "max_exp_avg_sq", "exp_avg",
                                                                  "momentum_buffer", "fp32_param",     "param"};
  static constexpr std::string_view kState = "state.";
  // the first "state." that starts a part of the key
  std::size_t state = std::string_view::npos;
  for (std::size_t at = key.find(kState); at != std::string_view::npos; at = key.find(kState, at + 1)) {
    if (at == 0 || key[at - 1] == '.') {
      state = at;
      break;
    }
  }
  for (const std::string_view component : kComponents) {
    if (state != std::string_view::npos) {  // Megatron: optimizer.state.exp_avg.<p>
      const std::string_view rest = key.substr(state + kState.size());
      if (rest.size() > component.size() + 1 && rest.starts_with(component) && rest[component.size()] == '.') {
        const std::string parameter(rest.substr(component.size() + 1));
        return {std::string(key.substr(0, state + kState.size())) + parameter, parameter, std::string(component)};
      }
    }
    const bool last =
        key.size() > component.size() + 1 && key.ends_with(component) && key[key.size() - component.size() - 1] == '.';
    if (!last) continue;
    const std::string_view owner = key.substr(0, key.size() - component.size() - 1);
    const std::size_t begin =
        state != std::string_view::npos && state + kState.size() <= owner.size() ? state + kState.size() : 0;
    return {std::string(owner), std::string(owner.substr(begin)), std::string(component)};
  }
  return {std::string(key), std::string(key), {}};
}

}  // namespace kinglet
