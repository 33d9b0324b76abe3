#include "kinglet/models/decoder/model_folder.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

using Parameters = std::map<std::string, at::Tensor>;

Parameters parameters_of(const Decoder& decoder) {
  Parameters all;
  for (const auto& item : decoder.named_parameters()) all.emplace(item.key(), item.value());
  return all;
}

// The tensor under its name or another; notes which names were used.
const TensorView* look_up(const ModelWeights& weights, const DecoderConfig& config, const std::string& name,
                          std::set<std::string>& used) {
  const auto take = [&](const std::string& one) {
    const TensorView* view = weights.find(one);
    if (view != nullptr) used.insert(one);
    return view;
  };
  if (const TensorView* view = take(name)) return view;
  for (const std::string& other : alternative_names(config, name)) {
    if (const TensorView* view = take(other)) return view;
  }
  return nullptr;
}

// Buffers that older exports hold, copies of a tied matrix, and the vision half of a vision-language model.
bool may_be_left_over(const DecoderConfig& config, const std::string& name) {
  for (const std::string_view end :
       {".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq"}) {
    if (name.ends_with(end)) return true;
  }
  if (config.tied_embeddings && (name.ends_with("lm_head.weight") || name.ends_with("embed_out.weight"))) return true;
  return name.find("vision") != std::string::npos || name.find("multi_modal") != std::string::npos;
}

at::ScalarType type_of(const at::Tensor& stored, const std::string& parameter, std::int64_t dimensions,
                       WeightType type) {
  const bool is_matrix = dimensions == 2 && parameter != "embed_positions";
  if (!is_matrix || type == WeightType::kFloat32) return at::kFloat;
  if (type == WeightType::kBFloat16) return at::kBFloat16;
  return stored.scalar_type() == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

void assign(const WeightEntry& entry, const at::Tensor& packed, const Parameters& parameters,
            const DecoderConfig& config, WeightType type, const std::string& where) {
  std::vector<std::vector<std::int64_t>> shapes;
  for (const std::string& name : entry.parameters) shapes.push_back(parameters.at(name).sizes().vec());
  std::vector<at::Tensor> parts;
  try {
    parts = unpack_weight(entry.layout, packed, shapes, config.num_heads);
  } catch (const Error& error) {
    throw bad_input(where, fmt::format("tensor {}: {}", entry.name, error.what()),
                    "is config.json that of this model?");
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    at::Tensor target = parameters.at(entry.parameters[i]);
    const at::ScalarType wanted = type_of(packed, entry.parameters[i], target.dim(), type);
    if (target.scalar_type() != wanted) target.set_data(at::empty(target.sizes(), wanted));
    target.copy_(parts[i]);
  }
}

struct Shard {
  std::vector<TensorView> views;
  std::uint64_t bytes = 0;
};

std::vector<Shard> into_shards(const std::vector<NamedWeight>& weights, std::uint64_t most) {
  std::vector<Shard> shards(1);
  for (const NamedWeight& weight : weights) {
    TensorView view = view_of(weight.name, weight.value);
    if (shards.back().bytes > 0 && shards.back().bytes + view.data.size() > most) shards.emplace_back();
    shards.back().bytes += view.data.size();
    shards.back().views.push_back(std::move(view));
  }
  return shards;
}

void write_shards(const fs::path& folder, const std::vector<Shard>& shards) {
  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    write_safetensors(folder / name, shards[i].views);
    for (const TensorView& view : shards[i].views) map[view.name] = name;
    total += shards[i].bytes;
  }
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  write_file_atomically(folder / "model.safetensors.index.json", as_bytes(index.dump(2) + "\n"));
}

std::string model_type_of(const Decoder& decoder) {
  if (decoder.parts() != nullptr) return decoder.parts()->model_type();
  return std::string(family_name(decoder.config().family));
}

std::string config_json_of(const Decoder& decoder, const DecoderConfig& config) {
  return decoder.parts() == nullptr ? to_config_json(config) : decoder.parts()->config_json(config);
}

std::map<std::string, DecoderType>& registered_types() {
  static std::map<std::string, DecoderType> types;
  return types;
}

// Null for the families.
const DecoderType* registered_type_of(const fs::path& folder) {
  const nlohmann::json document =
      nlohmann::json::parse(as_text(read_file(folder / "config.json", 1 << 24)), nullptr, false);
  if (!document.is_object() || !document.contains("model_type") || !document["model_type"].is_string()) return nullptr;
  const auto found = registered_types().find(document["model_type"].get<std::string>());
  return found == registered_types().end() ? nullptr : &found->second;
}

// A decoder with room for the folder's weights.
std::shared_ptr<Decoder> decoder_for(const fs::path& folder, LoadPurpose purpose) {
  const DecoderType* const type = registered_type_of(folder);
  return type == nullptr ? std::make_shared<Decoder>(read_decoder_config(folder)) : type->make(folder, purpose);
}

at::ScalarType file_type(const std::string& dtype) {
  if (dtype == "float32") return at::kFloat;
  if (dtype == "bfloat16") return at::kBFloat16;
  if (dtype == "float16") return at::kHalf;
  throw bad_input("dtype", fmt::format("'{}' is not one of float32, bfloat16 and float16", dtype));
}

}  // namespace

void register_decoder_type(const std::string& model_type, DecoderType type) {
  registered_types()[model_type] = std::move(type);
}

DecoderConfig read_any_decoder_config(const fs::path& folder) {
  const DecoderType* const type = registered_type_of(folder);
  return type == nullptr ? read_decoder_config(folder) : type->read_config(folder);
}

std::vector<WeightEntry> weight_entries_of(const Decoder& decoder) {
  return decoder.parts() == nullptr ? weight_entries(decoder.config())
                                    : decoder.parts()->weight_entries(decoder.config());
}

std::vector<NamedWeight> to_file_layout(const Decoder& decoder, const Parameters& by_parameter) {
  std::vector<NamedWeight> all;
  for (const WeightEntry& entry : weight_entries_of(decoder)) {
    std::vector<at::Tensor> parts;
    for (const std::string& name : entry.parameters) parts.push_back(by_parameter.at(name).detach());
    all.push_back({entry.name, pack_weight(entry.layout, parts, decoder.config().num_heads)});
  }
  return all;
}

std::vector<NamedWeight> file_weights(const Decoder& decoder) {
  if (decoder.is_int8()) {
    throw bad_input("", "a model whose weights were rounded to int8 cannot be saved", "load it as fp32 or bf16");
  }
  const Parameters parameters = parameters_of(decoder);
  for (const auto& [name, value] : parameters) {
    if (value.numel() > 0) continue;
    throw bad_input("", fmt::format("a model without {} cannot be saved: it was loaded for use alone", name),
                    "load it to be trained");
  }
  return to_file_layout(decoder, parameters);
}

void from_file_layout(const Decoder& decoder, const std::vector<NamedWeight>& weights, const Parameters& by_parameter,
                      const std::string& where) {
  std::map<std::string, at::Tensor> by_name;
  for (const NamedWeight& weight : weights) by_name.emplace(weight.name, weight.value);
  for (const WeightEntry& entry : weight_entries_of(decoder)) {
    const auto found = by_name.find(entry.name);
    if (found == by_name.end()) {
      throw bad_input(where, fmt::format("nothing for {}", entry.name), "resume from a complete checkpoint");
    }
    assign(entry, found->second, by_parameter, decoder.config(), WeightType::kFloat32, where);
  }
  if (by_name.size() != weight_entries_of(decoder).size()) {
    throw bad_input(where, "it holds tensors that the model has no place for", "is it a checkpoint of this model?");
  }
}

void load_decoder_weights(const ModelWeights& weights, Decoder& decoder, WeightType type,
                          const std::set<std::string>& taken) {
  const at::NoGradGuard no_grad;
  const DecoderConfig& config = decoder.config();
  const Parameters parameters = parameters_of(decoder);
  std::set<std::string> used = taken;
  for (const WeightEntry& entry : weight_entries_of(decoder)) {
    if (taken.contains(entry.name)) continue;
    const TensorView* view = look_up(weights, config, entry.name, used);
    if (view == nullptr) {
      throw bad_input(weights.where(), fmt::format("tensor {} is missing", entry.name),
                      "a shard may be missing, or config.json is that of another model");
    }
    if (!is_float(view->dtype)) throw bad_input(weights.where(), fmt::format("tensor {} is not of floats", entry.name));
    assign(entry, to_tensor(*view), parameters, config, type, weights.where());
  }
  for (const auto& [name, view] : weights.tensors()) {
    if (!used.contains(name) && !may_be_left_over(config, name)) {
      throw bad_input(weights.where(),
                      fmt::format("a {} model has no place for tensor {}", model_type_of(decoder), name),
                      "is config.json that of this model?");
    }
  }
}

WeightType weight_type_of(const std::string& name) {
  if (name == "fp32") return WeightType::kFloat32;
  if (name == "bf16") return WeightType::kBFloat16;
  if (name == "int8") return WeightType::kInt8;
  throw bad_input("dtype", fmt::format("'{}' is unknown", name), "use fp32, bf16 or int8");
}

std::shared_ptr<Decoder> load_decoder(const fs::path& folder, WeightType type, LoadPurpose purpose) {
  auto decoder = decoder_for(folder, type == WeightType::kInt8 ? LoadPurpose::kUse : purpose);
  const auto weights = std::make_shared<const ModelWeights>(ModelWeights::open(folder));
  std::set<std::string> taken;
  if (decoder->parts() != nullptr) taken = decoder->parts()->take_weights(weights, type, *decoder);
  load_decoder_weights(*weights, *decoder, type, taken);
  if (decoder->parts() != nullptr) decoder->parts()->finish_loading(*decoder);
  if (type == WeightType::kInt8) decoder->round_to_int8();
  decoder->eval();
  return decoder;
}

void save_decoder(const fs::path& folder, const Decoder& decoder, const std::string& dtype, std::uint64_t shard_bytes) {
  const at::NoGradGuard no_grad;
  DecoderConfig config = decoder.config();
  if (!dtype.empty()) config.dtype = dtype;
  const at::ScalarType type = file_type(config.dtype);
  std::vector<NamedWeight> weights = file_weights(decoder);
  for (NamedWeight& weight : weights) weight.value = weight.value.to(type).contiguous();
  write_model_folder(folder, weights, config_json_of(decoder, config), shard_bytes);
}

void write_model_folder(const fs::path& folder, const std::vector<NamedWeight>& weights, const std::string& config_json,
                        std::uint64_t shard_bytes) {
  fs::create_directories(folder);
  const std::vector<Shard> shards = into_shards(weights, shard_bytes);
  if (shards.size() == 1) {
    write_safetensors(folder / "model.safetensors", shards[0].views);
  } else {
    write_shards(folder, shards);
  }
  write_file_atomically(folder / "config.json", as_bytes(config_json));
}

}  // namespace kinglet
