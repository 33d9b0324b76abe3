#include "kinglet/methods/memoryformer/file_tables.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/log.h"
#include "kinglet/base/mapped_pages.h"
#include "kinglet/base/memory.h"
#include "kinglet/base/progress.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

// What tables in the file keep alive.
struct FileOwner {
  std::shared_ptr<const ModelWeights> weights;
  std::vector<float> scales;
};

struct Found {
  std::shared_ptr<MemoryProjection> projection;
  const TensorView* view = nullptr;
  DType wanted = DType::kF32;
  bool can_stay = false;
  std::vector<float> scales;  // of int8 in the file

  double bytes() const {
    return static_cast<double>(view->numel()) * static_cast<double>(item_size(wanted)) +
           static_cast<double>(scales.size() * sizeof(float));
  }
};

Error bad_tensor(const ModelWeights& weights, const std::string& name, const std::string& problem,
                 const std::string& remedy) {
  return bad_input(weights.where(), fmt::format("tensor {}: {}", name, problem), remedy);
}

const TensorView& need(const ModelWeights& weights, const std::string& name) {
  const TensorView* const view = weights.find(name);
  if (view == nullptr) {
    throw bad_input(weights.where(), fmt::format("tensor {} is missing", name),
                    "a shard may be missing, or config.json is that of another model");
  }
  return *view;
}

void check_shape(const ModelWeights& weights, const TensorView& view, const std::vector<std::int64_t>& expected) {
  if (view.shape == expected) return;
  throw bad_tensor(
      weights, view.name,
      fmt::format("its shape is [{}], the model's is [{}]", fmt::join(view.shape, ", "), fmt::join(expected, ", ")),
      "is config.json that of this model?");
}

void check_type(const ModelWeights& weights, const TensorView& view, bool int8) {
  const bool fits = int8 ? view.dtype == DType::kI8 : is_float(view.dtype);
  if (fits) return;
  throw bad_tensor(weights, view.name,
                   fmt::format("it is of {}, but tables_dtype of config.json is {}", dtype_name(view.dtype),
                               int8 ? "int8" : "float or missing"),
                   "is config.json that of this model?");
}

std::vector<float> read_scales(const ModelWeights& weights, const std::string& name, std::int64_t rows) {
  const TensorView& view = need(weights, name);
  if (view.dtype != DType::kF32) {
    throw bad_tensor(weights, name, fmt::format("it is of {}, not of F32", dtype_name(view.dtype)), "pack it again");
  }
  check_shape(weights, view, {rows});
  std::vector<float> scales(static_cast<std::size_t>(rows));
  std::memcpy(scales.data(), view.data.data(), view.data.size());
  const auto bad = std::find_if(scales.begin(), scales.end(), [](float s) { return !(std::isfinite(s) && s >= 0.0F); });
  if (bad != scales.end()) {
    throw bad_tensor(weights, name, fmt::format("the factor of row {} is {}", bad - scales.begin(), *bad),
                     "the file is damaged: fetch or pack it again");
  }
  return scales;
}

DType wanted_type(DType stored, WeightType type) {
  if (stored == DType::kI8 || type == WeightType::kInt8) return DType::kI8;
  if (type == WeightType::kBFloat16) return DType::kBF16;
  return type == WeightType::kAsStored && stored == DType::kBF16 ? DType::kBF16 : DType::kF32;
}

bool suits(const TensorView& view) {
  return reinterpret_cast<std::uintptr_t>(view.data.data()) % item_size(view.dtype) == 0;
}

class TableLoader {
 public:
  TableLoader(std::shared_ptr<const ModelWeights> weights, const MemoryFormerConfig& config, WeightType type,
              const TableUse& use)
      : weights_(std::move(weights)), config_(config), type_(type), use_(use) {}

  std::set<std::string> run(const std::vector<StoredTables>& places) {
    std::set<std::string> names;
    for (const StoredTables& place : places) {
      found_.push_back(find(place));
      names.insert(place.name);
      if (config_.int8_tables) names.insert(scale_name(place.name));
    }
    decide();
    Progress progress("tables", static_cast<std::uint64_t>(staying_ + copied_), Progress::Unit::kBytes);
    for (Found& found : found_) {
      const auto bytes = static_cast<std::uint64_t>(found.bytes());
      found.can_stay ? leave(found) : copy(found);
      progress.advance(bytes);
    }
    progress.finish();
    return names;
  }

 private:
  Found find(const StoredTables& place) const {
    const TensorView& view = need(*weights_, place.name);
    const MemoryShape& shape = place.projection->shape();
    check_type(*weights_, view, config_.int8_tables);
    check_shape(*weights_, view, {shape.rows(), shape.width});
    Found found{place.projection, &view, wanted_type(view.dtype, type_), false, {}};
    if (config_.int8_tables) found.scales = read_scales(*weights_, scale_name(place.name), shape.rows());
    found.can_stay = view.dtype == found.wanted && config_.lowest_bit_first && suits(view);
    return found;
  }

  // Which tables stay in the file, and how their pages are asked for.
  void decide() {
    for (Found& found : found_) {
      found.can_stay = found.can_stay && use_.place == TablePlace::kFile;
      (found.can_stay ? staying_ : copied_) += found.bytes();
    }
    const double most = use_.most_gb > 0 ? 1e9 * use_.most_gb : static_cast<double>(machine_memory());
    if (copied_ > most) {
      throw bad_input(
          weights_->where(),
          fmt::format("the tables take {:.3g} GB, more than the {:.3g} GB of memory", copied_ * 1e-9, most * 1e-9),
          "tables of bf16 with --dtype bf16 stay in the file, and so do those of kinglet memoryformer pack --dtype "
          "int8");
    }
    const double free = use_.free_gb > 0 ? 1e9 * use_.free_gb : static_cast<double>(available_memory());
    fits_ = staying_ + copied_ <= free;
    if (!fits_ && staying_ > 0 && !use_.once) warn(free);
  }

  void warn(double free) const {
    double resident = 0;
    for (const Found& found : found_) {
      if (found.can_stay)
        resident += resident_fraction(found.view->data) * static_cast<double>(found.view->data.size());
    }
    log_warning(
        "{}: tables of {:.3g} GB, {:.3g} GB of memory are free: rows are read from the file when a token needs them, "
        "{:.0f} % are in memory now; the others come at the pace of the disk",
        weights_->where(), staying_ * 1e-9, free * 1e-9, 100.0 * resident / staying_);
  }

  void leave(Found& found) const {
    if (!use_.once) fits_ ? bring_in(found.view->data) : advise_random(found.view->data);
    auto owner = std::make_shared<FileOwner>(FileOwner{weights_, std::move(found.scales)});
    const ConstTables view = tables_at(found.view->data.data(), found.wanted, owner->scales);
    found.projection->use_tables({view, std::move(owner)});
  }

  void copy(Found& found) const {
    at::Tensor widened;  // of types that the kernels do not know
    ConstTables from = tables_at(found.view->data.data(), found.view->dtype, found.scales);
    if (from.dtype != found.wanted && from.dtype != DType::kF32 && from.dtype != DType::kBF16) {
      widened = to_tensor(*found.view).to(at::kFloat);
      from = tables_at(widened.data_ptr(), DType::kF32, {});
    }
    auto packed = std::make_shared<PackedTables>(found.projection->shape(), from, found.wanted, TableLayout::kRows);
    if (!config_.lowest_bit_first) packed->reverse_bits();
    const ConstTables view = packed->view();
    found.projection->use_tables({view, std::move(packed)});
  }

  static ConstTables tables_at(const void* data, DType dtype, const std::vector<float>& scales) {
    return {data, dtype, TableLayout::kRows, scales.empty() ? nullptr : scales.data()};
  }

  std::shared_ptr<const ModelWeights> weights_;
  const MemoryFormerConfig& config_;
  WeightType type_;
  TableUse use_;
  std::vector<Found> found_;
  double staying_ = 0, copied_ = 0;  // bytes
  bool fits_ = true;
};

// int8 rows and their factors, as tensors of their own memory.
void add_int8(std::vector<NamedWeight>& weights, const StoredTables& stored) {
  const MemoryShape& shape = stored.projection->shape();
  const auto packed =
      std::make_shared<const PackedTables>(shape, stored.projection->table_view(), DType::kI8, TableLayout::kRows);
  const ConstTables view = packed->view();
  for (std::int64_t row = 0; row < shape.rows(); ++row) {
    if (std::isfinite(view.scales[row])) continue;
    throw bad_input(stored.name, fmt::format("row {} has a number that is not finite", row), "the model is damaged");
  }
  const auto keep = [packed](void*) {};
  weights.push_back({stored.name, at::from_blob(const_cast<void*>(view.data), {shape.rows(), shape.width}, keep,
                                                at::TensorOptions(at::kChar))});
  weights.push_back({scale_name(stored.name), at::from_blob(const_cast<float*>(view.scales), {shape.rows()}, keep,
                                                            at::TensorOptions(at::kFloat))});
}

}  // namespace

std::string scale_name(const std::string& tables) { return tables + "_scale"; }

std::vector<StoredTables> stored_tables(const Decoder& decoder) {
  std::map<std::string, std::shared_ptr<MemoryProjection>> by_parameter;
  for (const auto& item : decoder.named_modules("", false)) {
    if (auto projection = std::dynamic_pointer_cast<MemoryProjection>(item.value())) {
      by_parameter.emplace(item.key() + ".tables", std::move(projection));
    }
  }
  std::vector<StoredTables> all;
  for (const WeightEntry& entry : weight_entries_of(decoder)) {
    const auto found = by_parameter.find(entry.parameters.front());
    if (found != by_parameter.end()) all.push_back({entry.name, found->second});
  }
  return all;
}

void check_table_types(const ModelWeights& weights, const MemoryFormerConfig& config, const Decoder& decoder) {
  for (const StoredTables& place : stored_tables(decoder)) {
    check_type(weights, need(weights, place.name), config.int8_tables);
  }
}

std::set<std::string> load_tables(const std::shared_ptr<const ModelWeights>& weights, const MemoryFormerConfig& config,
                                  WeightType type, const TableUse& use, const Decoder& decoder) {
  return TableLoader(weights, config, type, use).run(stored_tables(decoder));
}

void save_with_int8_tables(const std::filesystem::path& folder, const Decoder& decoder, std::uint64_t shard_bytes) {
  const at::NoGradGuard no_grad;
  MemoryFormerConfig config = *memoryformer_config_of(decoder);
  check_trainable(config, "model");
  config.int8_tables = config.lowest_bit_first = true;  // bits: as the tables are in memory
  config.dtype = "bfloat16";
  std::map<std::string, at::Tensor> parameters;
  for (const auto& item : decoder.named_parameters()) parameters.emplace(item.key(), item.value());
  std::map<std::string, const StoredTables*> tables;
  const std::vector<StoredTables> places = stored_tables(decoder);
  for (const StoredTables& place : places) tables.emplace(place.name, &place);
  std::vector<NamedWeight> weights;
  Progress progress("rounding", places.size());
  for (const NamedWeight& weight : to_file_layout(decoder, parameters)) {
    const auto found = tables.find(weight.name);
    if (found == tables.end()) {
      weights.push_back({weight.name, weight.value.to(at::kBFloat16).contiguous()});
      continue;
    }
    add_int8(weights, *found->second);
    progress.advance(1);
  }
  progress.finish();
  write_model_folder(folder, weights, to_config_json(config), shard_bytes);
}

}  // namespace kinglet
