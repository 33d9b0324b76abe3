#include "kinglet/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::uint64_t kMaxShape = 64;
constexpr std::uint64_t kMaxTensorBytes = std::uint64_t{1} << 62;  // TensorView counts elements in 63 bits
constexpr int kMaxHeaderDepth = 8;

std::uint64_t little_endian_u64(ByteView bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  return value;
}

// nlohmann's parser keeps the last of several equal keys; the format forbids them, and deep nesting is of no use here.
class StrictCallback {
 public:
  explicit StrictCallback(std::string_view where) : where_(where) {}

  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxHeaderDepth) throw bad_input(where_, "header JSON is nested too deeply");
    if (event == json::parse_event_t::object_start) keys_.emplace_back();
    if (event == json::parse_event_t::object_end && !keys_.empty()) keys_.pop_back();
    if (event == json::parse_event_t::key && !keys_.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second)
        throw bad_input(where_, fmt::format("duplicate key '{}' in the header", key));
    }
    return true;
  }

 private:
  std::string_view where_;
  std::vector<std::set<std::string>> keys_;
};

json parse_strict(std::string_view text, std::string_view where, std::string_view what) {
  const auto invalid = [&] {
    return bad_input(where, fmt::format("{} is not valid JSON", what), "the file is damaged: fetch or save it again");
  };
  if (text.find('\0') != std::string_view::npos) throw invalid();  // nlohmann takes NUL for the end of the text
  try {
    return json::parse(text, StrictCallback(where));
  } catch (const json::exception&) {
    throw invalid();
  }
}

std::uint64_t unsigned_of(const json& value, std::string_view where, const std::string& name, const char* field) {
  if (!value.is_number_unsigned()) {
    throw bad_input(where, fmt::format("tensor '{}': {} must be non-negative integers", name, field));
  }
  return value.get<std::uint64_t>();
}

SafetensorsEntry parse_entry(const std::string& name, const json& value, std::uint64_t data_start,
                             std::uint64_t data_bytes, std::string_view where) {
  const auto refuse = [&](std::string_view what) {
    return bad_input(where, fmt::format("tensor '{}': {}", name, what));
  };
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets")) {
    throw refuse("entry must have exactly dtype, shape and data_offsets");
  }
  SafetensorsEntry entry;
  entry.name = name;
  const json& dtype = value["dtype"];
  const auto parsed = dtype.is_string() ? parse_dtype(dtype.get_ref<const std::string&>()) : std::nullopt;
  if (!parsed) throw refuse(fmt::format("unknown dtype {}", dtype.dump(-1, ' ', true, json::error_handler_t::replace)));
  entry.dtype = *parsed;

  const json& shape = value["shape"];
  if (!shape.is_array() || shape.size() > kMaxShape) throw refuse("shape must be a list of at most 64 sizes");
  std::uint64_t bytes = item_size(entry.dtype);
  bool empty = false;
  for (const json& size : shape) {
    const std::uint64_t extent = unsigned_of(size, where, name, "sizes");
    if (extent > std::uint64_t{1} << 62) throw refuse("shape overflows");
    empty = empty || extent == 0;
    if (!empty && (__builtin_mul_overflow(bytes, extent, &bytes) || bytes > kMaxTensorBytes)) {
      throw refuse("shape overflows");
    }
    entry.shape.push_back(static_cast<std::int64_t>(extent));
  }
  if (empty) bytes = 0;

  const json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) throw refuse("data_offsets must be [begin, end]");
  const std::uint64_t begin = unsigned_of(offsets[0], where, name, "data_offsets");
  const std::uint64_t end = unsigned_of(offsets[1], where, name, "data_offsets");
  if (begin > end || end > data_bytes) {
    throw bad_input(where, fmt::format("tensor '{}' ends at byte {} of {} bytes of data", name, end, data_bytes),
                    "the file is truncated or damaged: fetch or save it again");
  }
  if (end - begin != bytes) {
    throw refuse(fmt::format("data_offsets span {} bytes, dtype and shape need {}", end - begin, bytes));
  }
  entry.begin = data_start + begin;
  entry.end = data_start + end;
  return entry;
}

// The ranges must tile the data section exactly.
void check_tiling(const std::vector<SafetensorsEntry>& entries, std::uint64_t data_start, std::uint64_t file_bytes,
                  std::string_view where) {
  std::uint64_t expected = data_start;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != expected) {
      throw bad_input(where, fmt::format("tensor '{}' {} its predecessor", entry.name,
                                         entry.begin < expected ? "overlaps" : "leaves a hole after"));
    }
    expected = entry.end;
  }
  if (expected != file_bytes) {
    throw bad_input(where, fmt::format("{} bytes follow the last tensor", file_bytes - expected),
                    "the file is damaged: fetch or save it again");
  }
}

}  // namespace

SafetensorsHeader parse_safetensors(ByteView file, std::string_view where) {
  if (file.size() < 8) {
    throw bad_input(where, "too short for a safetensors file", "the file is truncated: fetch or save it again");
  }
  const std::uint64_t length = little_endian_u64(file);
  if (length > kMaxHeaderBytes)
    throw bad_input(where, fmt::format("header of {} bytes exceeds 100 MB; not a safetensors file", length));
  if (length > file.size() - 8) {
    throw bad_input(where, fmt::format("header of {} bytes, file of {}", length, file.size()),
                    "the file is truncated or not safetensors: fetch or save it again");
  }
  const std::string_view text = as_text(file.subspan(8, length));
  if (text.empty() || text.front() != '{')
    throw bad_input(where, "header does not start with '{'; not a safetensors file");
  const json header = parse_strict(text, where, "header");

  SafetensorsHeader result;
  result.header_bytes = 8 + length;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) throw bad_input(where, "__metadata__ must be an object of strings");
      for (const auto& [key, text_value] : value.items()) {
        if (!text_value.is_string()) throw bad_input(where, fmt::format("__metadata__ '{}' is not a string", key));
        result.metadata[key] = text_value.get<std::string>();
      }
      continue;
    }
    result.entries.push_back(parse_entry(name, value, result.header_bytes, file.size() - result.header_bytes, where));
  }
  std::sort(result.entries.begin(), result.entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  check_tiling(result.entries, result.header_bytes, file.size(), where);
  return result;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path), header_(parse_safetensors(file_.bytes(), path.string())) {}

std::vector<TensorView> SafetensorsFile::tensors() const {
  std::vector<TensorView> views;
  views.reserve(header_.entries.size());
  for (const SafetensorsEntry& entry : header_.entries) {
    views.push_back(
        {entry.name, entry.dtype, entry.shape, file_.bytes().subspan(entry.begin, entry.end - entry.begin)});
  }
  return views;
}

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const TensorView& tensor : tensors) {
    if (tensor.name == "__metadata__" || header.contains(tensor.name)) {
      throw bad_input(path.string(), fmt::format("two tensors are called '{}'", tensor.name));
    }
    if (static_cast<std::uint64_t>(tensor.numel()) * item_size(tensor.dtype) != tensor.data.size()) {
      throw bad_input(path.string(), fmt::format("tensor '{}': shape and data differ in size", tensor.name));
    }
    header[tensor.name] = {{"dtype", dtype_name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.data.size()}}};
    offset += tensor.data.size();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) {
    throw bad_input(path.string(), "a tensor name or metadata entry is not valid UTF-8");
  }
  text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' ');  // aligns the data section

  AtomicFile file(path);
  std::array<std::byte, 8> length{};
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(text.size() >> (8 * i));
  file.append(length);
  file.append(as_bytes(text));
  for (const TensorView& tensor : tensors) file.append(tensor.data);
  file.commit();
}

ShardIndex read_shard_index(const std::filesystem::path& path) {
  const std::string where = path.string();
  const Bytes bytes = read_file(path, kMaxHeaderBytes);
  const json document = parse_strict(as_text(bytes), where, "index");
  if (!document.is_object() || !document.contains("weight_map") || !document["weight_map"].is_object()) {
    throw bad_input(where, "index has no weight_map");
  }
  ShardIndex index;
  for (const auto& [name, shard] : document["weight_map"].items()) {
    if (!shard.is_string()) throw bad_input(where, fmt::format("weight_map '{}' is not a file name", name));
    const std::string& file = shard.get_ref<const std::string&>();
    if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos ||
        file.find('\0') != std::string::npos) {
      throw bad_input(where, fmt::format("weight_map '{}' names the unsafe file '{}'", name, file));
    }
    index.weight_map[name] = file;
  }
  if (document.contains("metadata") && document["metadata"].is_object()) {
    const json& metadata = document["metadata"];
    if (metadata.contains("total_size") && metadata["total_size"].is_number_unsigned()) {
      index.total_size = metadata["total_size"].get<std::uint64_t>();
    }
  }
  return index;
}

std::vector<std::filesystem::path> find_safetensors_files(const std::filesystem::path& model) {
  namespace fs = std::filesystem;
  if (fs::is_regular_file(model) && model.extension() != ".json") return {model};
  const fs::path folder = fs::is_directory(model) ? model : model.parent_path();
  const fs::path single = folder / "model.safetensors";
  const fs::path index_path = fs::is_regular_file(model) ? model : folder / "model.safetensors.index.json";
  if (!fs::is_regular_file(index_path)) {
    if (fs::is_regular_file(single)) return {single};
    throw bad_input(model.string(), "neither model.safetensors nor model.safetensors.index.json is here",
                    "check the path");
  }
  const ShardIndex index = read_shard_index(index_path);
  std::map<std::string, std::set<std::string>> names_by_shard;
  for (const auto& [name, shard] : index.weight_map) names_by_shard[shard].insert(name);
  std::vector<fs::path> shards;
  for (const auto& [shard, names] : names_by_shard) {
    const fs::path path = folder / shard;
    if (!fs::is_regular_file(path)) {
      throw bad_input(path.string(), fmt::format("shard is missing; {} tensors are in it", names.size()),
                      "fetch the file");
    }
    std::set<std::string> present;
    const SafetensorsFile file(path);
    for (const SafetensorsEntry& entry : file.header().entries) present.insert(entry.name);
    for (const std::string& name : names) {
      if (!present.contains(name)) {
        throw bad_input(path.string(), fmt::format("tensor '{}' is listed in the index but not in this shard", name));
      }
    }
    shards.push_back(path);
  }
  return shards;
}

}  // namespace kinglet
