// What is in a file or folder that somebody brought: tensors, metadata, pickled objects, checkpoints. Nothing is
// executed; pickles are shown as inert trees.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/io/checkpoint.h"
#include "kinglet/io/dtype.h"
#include "kinglet/io/tensor_statistics.h"

namespace kinglet {

struct InspectOptions {
  bool statistics = false;                // of every tensor
  bool pickle = false;                    // the object tree of pickled files
  std::string tensor;                     // only this tensor, with statistics and its first elements
  std::filesystem::path parameter_order;  // see CheckpointOptions
};

struct InspectedTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::uint64_t bytes = 0;  // elements x item size, or the blocks
  std::optional<TensorStatistics> statistics;
  std::vector<double> first_elements;  // only with InspectOptions::tensor
  std::string_view block_type = {};    // "Q4_K", for blocks of a GGUF file, which have no dtype; else empty
};

struct InspectedGlobal {
  std::string name;             // "module name"
  bool runs_in_python = false;  // outside the white list: unpickling in Python would run code of this name
};

struct InspectedFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::size_t regions = 0;  // numeric arrays found inside
};

struct InspectedParameter {
  std::string name;
  std::vector<std::int64_t> shape;
  DType dtype = DType::kF32;  // of the weight
  std::string moments;        // "exp_avg, exp_avg_sq", "momentum", "none"
};

struct InspectedCheckpoint {
  std::vector<InspectedFile> files;
  std::vector<InspectedParameter> parameters;
  OptimizerKind optimizer = OptimizerKind::kNone;
  std::string pairing_rule;
  std::optional<std::int64_t> step;
  std::vector<std::string> notes;
};

struct Inspection {
  std::string path;
  std::string kind;  // for people: "safetensors file", "PyTorch file (zip)", ...
  std::uint64_t bytes = 0;
  std::vector<InspectedTensor> tensors;
  std::map<std::string, std::string> metadata;
  std::vector<InspectedGlobal> globals;
  std::string pickle;  // the object tree, with InspectOptions::pickle
  std::optional<InspectedCheckpoint> checkpoint;
  std::string hint;  // what else to run
};

// Raises Error (bad input) for damaged files and for a tensor that is not there.
Inspection inspect(const std::filesystem::path& path, const InspectOptions& options = {});

std::string inspection_text(const Inspection& inspection);
nlohmann::json inspection_json(const Inspection& inspection);

std::string_view optimizer_name(OptimizerKind kind);  // "Adam", "Adam (AMSGrad)", "momentum", "other", "none"

}  // namespace kinglet
