// Folders as the authors' code writes them.
#include "kinglet/methods/memoryformer/official.h"

#include <deque>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/io/torch_file.h"
#include "kinglet/kernels/memory_tables.h"
#include "kinglet/methods/memoryformer/memory_projection.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::refusal;
using testing_support::TemporaryFolder;

MemoryFormerConfig config() {
  MemoryFormerConfig made;
  made.vocabulary_size = 32;
  made.hidden_size = 32;
  made.num_layers = 2;
  made.num_heads = 2;
  made.max_positions = 64;
  made.bits = 4;
  made.expanding_bits = 1;
  return made;
}

// Files of a model, tables with the highest bit first.
class Files {
 public:
  explicit Files(const fs::path& folder) : folder_(folder), decoder(make_memoryformer(config())) {
    decoder->initialize(3);
    std::filesystem::create_directories(folder);
    write(0, {{"word_embeddings.weight", "embed_tokens"}});
    for (int i = 0; i < 2; ++i) write(i + 2, block(i));
    write(5, {{"norm.scale", "final_norm.weight"}});
    write(6, {{"final_linear.weight", "lm_head"}});
  }
  fs::path path(int layer, int part = 0) const {
    return folder_ / fmt::format("layer_{:02}-model_{:02}-model_states.pt", layer, part);
  }

 private:
  using Names = std::vector<std::pair<std::string, std::string>>;
  static Names block(int layer) {
    Names names = {{"input_layernorm.scale", "attention_norm.weight"},
                   {"post_attention_layernorm.scale", "ffn_norm.weight"},
                   {"mlp.1.weight", "ffn.norm.weight"},
                   {"mlp.1.bias", "ffn.norm.bias"}};
    for (const auto& [from, to] : Names{{"attention.query_proj", "attention.q"},
                                        {"attention.key_proj", "attention.k"},
                                        {"attention.value_proj", "attention.v"},
                                        {"mlp.0", "ffn.up"},
                                        {"mlp.2", "ffn.down"}}) {
      for (const std::string part : {".tables", ".bias"}) names.emplace_back(from + part, to + part);
    }
    for (auto& [from, to] : names) to = fmt::format("layers.{}.{}", layer, to);
    return names;
  }
  void write(int layer, const Names& names) {
    const at::NoGradGuard no_grad;
    TorchFileWriter writer;
    std::deque<at::Tensor> kept;
    std::vector<std::pair<PickleValue*, PickleValue*>> items;
    for (const auto& [from, to] : names) {
      at::Tensor& value = kept.emplace_back(decoder->named_parameters()[to].clone());
      std::vector<std::int64_t> shape = value.sizes().vec();
      if (from.ends_with(".tables")) {  // [tables, rows, width]
        const int bits = from.starts_with("mlp.2") ? 5 : 4;
        shape = {8, std::int64_t{1} << bits, value.size(1)};
        reverse_table_bits(8, bits, static_cast<std::size_t>(value.size(1)) * 4, value.data_ptr());
      }
      const TensorView view = view_of(from, value);
      items.emplace_back(writer.builder.string(from), writer.add_tensor(view.dtype, shape, view.data));
    }
    PickleValue* const root = writer.ordered_dict(items);
    std::move(writer).write(path(layer), root);
  }

  fs::path folder_;

 public:
  std::shared_ptr<Decoder> decoder;
};

OfficialSettings settings() {
  OfficialSettings made;
  made.num_heads = 2;
  made.max_positions = 64;
  return made;
}

at::Tensor hidden_of(Decoder& decoder) {
  const at::NoGradGuard no_grad;
  return decoder.logits(decoder.forward({at::arange(0, 32, at::kLong).unsqueeze(0), {}, {}, nullptr}));
}

TEST(OfficialMemoryFormer, IsTheSameModel) {
  const TemporaryFolder folder;
  const Files files(folder.path());
  const auto loaded = load_official_memoryformer(folder.path(), settings());
  EXPECT_EQ(memoryformer_config_of(*loaded)->bits, 4);
  EXPECT_EQ(memoryformer_config_of(*loaded)->expanding_bits, 1);
  EXPECT_TRUE(hidden_of(*loaded).equal(hidden_of(*files.decoder)));
}

TEST(OfficialMemoryFormer, WhatDoesNotFitIsRefused) {
  const TemporaryFolder folder;
  const auto load = [&] { return refusal([&] { load_official_memoryformer(folder.path(), settings()); }); };
  fs::create_directories(folder.path());
  EXPECT_THAT(load(), HasSubstr("there is no layer_NN"));
  const Files files(folder.path());
  fs::copy_file(files.path(2), files.path(2, 1));
  EXPECT_THAT(load(), HasSubstr("split over several devices"));
  fs::remove(files.path(2, 1));
  fs::copy_file(files.path(5), folder / "layer_2x-model_00-model_states.pt");  // a name of something else
  fs::remove(files.path(6));
  EXPECT_THAT(load(), HasSubstr("final_linear.weight"));
  fs::remove(files.path(2));
  fs::remove(files.path(3));
  EXPECT_THAT(load(), HasSubstr("attention.query_proj.tables"));
}

}  // namespace
}  // namespace kinglet
