// Decoders in Hugging Face folders: config.json and weights, in both directions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kinglet/io/model_weights.h"
#include "kinglet/models/decoder/decoder.h"
#include "kinglet/models/decoder/weight_names.h"

namespace kinglet {

// The number type of weights: as stored, or converted while loading. kInt8 is for inference: Decoder::round_to_int8().
enum class WeightType { kAsStored, kFloat32, kBFloat16, kInt8 };
// Of "fp32", "bf16" or "int8". Raises Error (bad input) for another name.
WeightType weight_type_of(const std::string& name);

// Loads config.json and the weights (safetensors, sharded or not, or pytorch_model.bin). kAsStored turns fp16 into fp32
// and keeps bf16. Norms, biases and position tables are fp32 always. Raises Error (bad input) naming the tensor that is
// missing or has another shape, or that the model has no place for. kInt8 is for use always.
std::shared_ptr<Decoder> load_decoder(const std::filesystem::path& folder, WeightType type = WeightType::kFloat32,
                                      LoadPurpose purpose = LoadPurpose::kTraining);

// The weights alone, into a model of the same config. `taken`: tensors that are loaded already, by the decoder's parts.
void load_decoder_weights(const ModelWeights& weights, Decoder& decoder, WeightType type = WeightType::kFloat32,
                          const std::set<std::string>& taken = {});

// Every parameter of this decoder and its place in a file: those of its family or of its parts.
std::vector<WeightEntry> weight_entries_of(const Decoder& decoder);

// A tensor as it stands in the family's file.
struct NamedWeight {
  std::string name;
  at::Tensor value;
};
std::vector<NamedWeight> file_weights(const Decoder& decoder);
// Other tensors of the parameters' shapes (optimizer moments), by parameter name, in the same layout and order.
std::vector<NamedWeight> to_file_layout(const Decoder& decoder, const std::map<std::string, at::Tensor>& by_parameter);
// Back: copies tensors in the file's layout into those of `by_parameter`, in place. Every one must be there once;
// raises Error (bad input) naming `where` and the tensor otherwise.
void from_file_layout(const Decoder& decoder, const std::vector<NamedWeight>& weights,
                      const std::map<std::string, at::Tensor>& by_parameter, const std::string& where);

inline constexpr std::uint64_t kShardBytes = 5'000'000'000;
// Writes config.json and model.safetensors, or shards of at most `shard_bytes` with their index; each file atomically.
// `dtype`: float32, bfloat16 or float16; empty: as the config says. Raises Error (bad input) for a model that was
// loaded or rounded for use.
void save_decoder(const std::filesystem::path& folder, const Decoder& decoder, const std::string& dtype = {},
                  std::uint64_t shard_bytes = kShardBytes);
// The same of tensors that are as the files are to hold them.
void write_model_folder(const std::filesystem::path& folder, const std::vector<NamedWeight>& weights,
                        const std::string& config_json, std::uint64_t shard_bytes = kShardBytes);

}  // namespace kinglet
