// The Memory Layer as a module, and the blocks of a MemoryFormer that are made from it (paper, equation 13, with the
// input of the feed-forward layers as in the authors' code).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kinglet/kernels/memory_tables.h"
#include "kinglet/methods/memoryformer/memory_operators.h"
#include "kinglet/nn/ffn.h"
#include "kinglet/nn/norm.h"
#include "kinglet/nn/projection.h"
#include "kinglet/nn/self_attention.h"

namespace kinglet {

// How often each row was read, and how sure the hash was; filled while a projection has one (set_usage).
struct MemoryUsage {
  std::string place;  // of the hash: "layers.0.attention"
  std::int64_t tables = 0;
  int bits = 0;
  std::int64_t tokens = 0;
  std::vector<std::int64_t> reads;  // [tables * 2^bits]
  double sum_of_p = 0.0;            // over tokens and tables, p of MemoryScore::kProb
};

// Tables without gradient, and what their memory belongs to: PackedTables, or the mapping of a file.
struct ReadOnlyTables {
  ConstTables view;
  std::shared_ptr<const void> owner;
};

// y = bias + sum over tables of weight times row; parameters tables [tables * 2^bits, out] and bias [out].
class MemoryProjection : public nn::Projection {
 public:
  // `place`: what messages and MemoryUsage call it. `with_tables`: false for one that gets its tables by use_tables().
  MemoryProjection(const MemoryShape& shape, const MemoryWeighting& weighting, std::string place,
                   bool with_tables = true);
  // x: [..., tables * bits] -> [..., width]
  at::Tensor forward(const at::Tensor& x) override;

  // The two halves: projections of one shape but for the width may share the first.
  MemoryCodes hash(const at::Tensor& x) const;
  at::Tensor look_up(const MemoryCodes& codes, at::IntArrayRef input_sizes) const;

  const MemoryShape& shape() const { return shape_; }
  const std::string& place() const { return place_; }
  // The tables' gradient as a sparse tensor of the rows that were read.
  void set_sparse_gradient(bool on) { sparse_gradient_ = on; }
  void set_usage(std::shared_ptr<MemoryUsage> usage) { usage_ = std::move(usage); }
  // From now on reads these and gives no gradient to them; the parameter is emptied.
  void use_tables(ReadOnlyTables given);
  // The tables that it reads, as long as they are not changed.
  ConstTables table_view() const;
  // use_tables() with a copy in this form. Not of tables in column blocks, nor of int8 tables in another type.
  void pack(DType dtype, TableLayout layout);
  // pack() into int8 rows; does nothing where they are int8.
  void round_to_int8() override;

  at::Tensor tables, bias;

 private:
  void record(const at::Tensor& x) const;

  MemoryShape shape_;
  MemoryWeighting weighting_;
  std::string place_;
  bool sparse_gradient_ = false;
  std::shared_ptr<MemoryUsage> usage_;
  ReadOnlyTables given_;
};

// Query, key and value from one hash; the heads side by side are the output: there is no output projection.
class MemoryAttention : public nn::Attention {
 public:
  MemoryAttention(const nn::SelfAttentionSettings& settings, const MemoryShape& shape, const MemoryWeighting& weighting,
                  const std::string& place, bool with_tables = true);
  at::Tensor forward(const at::Tensor& x, const nn::AttentionContext& context) override;

 private:
  nn::SelfAttentionSettings settings_;
  std::shared_ptr<MemoryProjection> q_, k_, v_;
};

// down(norm(up(x))): the hash is the non-linearity.
class MemoryFfn : public nn::Ffn {
 public:
  MemoryFfn(const MemoryShape& up, const MemoryShape& down, const MemoryWeighting& weighting, const std::string& place,
            bool with_tables = true);
  at::Tensor forward(const at::Tensor& x) override;

 private:
  std::shared_ptr<MemoryProjection> up_, down_;
  std::shared_ptr<nn::Norm> norm_;
};

// Every MemoryProjection of a model, in order.
std::vector<std::shared_ptr<MemoryProjection>> memory_projections(const torch::nn::Module& model);

}  // namespace kinglet
