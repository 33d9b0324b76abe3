// The plug by which a method puts its own blocks into a decoder, and says how such a model is kept in files.
//
// A decoder without parts is one of the families of config.h. Everything else (embeddings, residual stream, rotary
// angles, cache, loss, training, generation) is the decoder's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kinglet/models/decoder/config.h"
#include "kinglet/models/decoder/weight_names.h"
#include "kinglet/nn/ffn.h"
#include "kinglet/nn/norm.h"
#include "kinglet/nn/self_attention.h"

namespace kinglet {

class Decoder;
class ModelWeights;     // io/model_weights.h
enum class WeightType;  // model_folder.h

// kTraining: every weight is a parameter. kUse: nothing will be trained or saved, and parts may keep their weights in
// other forms.
enum class LoadPurpose { kTraining, kUse };

enum class NormPlace { kAttention, kFfn, kFinal };

class DecoderParts {
 public:
  virtual ~DecoderParts() = default;

  // The blocks of a layer. Parameters are not initialised.
  virtual std::shared_ptr<nn::Attention> make_attention(const DecoderConfig& config, std::int64_t layer) const = 0;
  virtual std::shared_ptr<nn::Ffn> make_ffn(const DecoderConfig& config, std::int64_t layer) const = 0;
  // Null: as the config says.
  virtual std::shared_ptr<nn::Norm> make_norm(const DecoderConfig& config, NormPlace place) const = 0;
  // First values of every parameter.
  virtual void initialize(Decoder& decoder, std::uint64_t seed) const = 0;

  virtual std::string model_type() const = 0;  // in config.json
  virtual std::string config_json(const DecoderConfig& config) const = 0;
  // As weight_entries() of weight_names.h.
  virtual std::vector<WeightEntry> weight_entries(const DecoderConfig& config) const = 0;
  // Before the weights of a folder are loaded: parts may take tensors of its files themselves, because they hold them
  // as no parameter or read them where they lie; `weights` are theirs to keep. Returns the names of the tensors that
  // are done with, of weight_entries() or others. Raises Error (bad input) for a damaged one.
  virtual std::set<std::string> take_weights(const std::shared_ptr<const ModelWeights>& /*weights*/,
                                             WeightType /*type*/, Decoder& /*decoder*/) const {
    return {};
  }
  // After the weights of a folder were loaded: from the file's conventions to the model's.
  virtual void finish_loading(Decoder& /*decoder*/) const {}

  // Training: whether a step changes only those rows of a parameter that have a gradient (AdamWSettings::row_sparse).
  virtual bool is_row_sparse(const std::string& /*parameter*/) const { return false; }
  // Numbers that say whether the method works as it should, from what `run` makes the decoder do; for the log of a run.
  virtual std::vector<std::pair<std::string, double>> measure(const Decoder& /*decoder*/,
                                                              const std::function<void()>& /*run*/) const {
    return {};
  }
};

// What a folder with another model_type holds.
struct DecoderType {
  std::function<DecoderConfig(const std::filesystem::path& folder)> read_config;
  // Still without weights.
  std::function<std::shared_ptr<Decoder>(const std::filesystem::path& folder, LoadPurpose purpose)> make;
};
// Makes load_decoder() know a model_type. Call it at the start of a program; a second call for a type replaces the
// first.
void register_decoder_type(const std::string& model_type, DecoderType type);
// config.json of a family or of a registered type.
DecoderConfig read_any_decoder_config(const std::filesystem::path& folder);

}  // namespace kinglet
