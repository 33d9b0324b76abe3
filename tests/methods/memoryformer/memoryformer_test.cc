// The model: files, cache, training, health, and what is refused.
#include "kinglet/methods/memoryformer/memoryformer.h"

#include <cmath>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_language.h"

#include "kinglet/methods/memoryformer/memory_projection.h"
#include "kinglet/methods/memoryformer/table_health.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::refusal;
using testing_support::ruled_tokens;
using testing_support::TemporaryFolder;

MemoryFormerConfig tiny_config() {
  MemoryFormerConfig config;
  config.vocabulary_size = 32;
  config.hidden_size = 32;
  config.num_layers = 2;
  config.num_heads = 2;
  config.max_positions = 64;
  config.bits = 4;
  config.expanding_bits = 1;
  return config;
}

std::shared_ptr<Decoder> tiny_model(const MemoryFormerConfig& config = tiny_config(), bool row_sparse = false) {
  auto decoder = make_memoryformer(config, {0.0, row_sparse});
  decoder->initialize(3);
  return decoder;
}

at::Tensor logits_of(Decoder& decoder, const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  return decoder.logits(decoder.forward({tokens, {}, {}, nullptr}));
}

at::Tensor some_tokens() { return at::randint(0, 32, {2, 17}, at::detail::createCPUGenerator(5), at::kLong); }

TEST(MemoryFormer, IsTheBlockOfThePaper) {
  for (const OuterNorm outer : {OuterNorm::kRms, OuterNorm::kLayer, OuterNorm::kNone}) {
    MemoryFormerConfig config = tiny_config();
    config.outer_norm = outer;
    config.num_layers = 1;
    config.rotary_part = 0.0;
    const auto decoder = tiny_model(config);
    const at::NoGradGuard no_grad;
    const at::Tensor tokens = some_tokens();
    auto p = decoder->named_parameters();
    const auto norm = [&](const at::Tensor& x) {
      if (outer == OuterNorm::kRms) return x / (x.square().mean(-1, true).sqrt() + 1e-8);
      return outer == OuterNorm::kLayer ? at::layer_norm(x, {x.size(-1)}, {}, {}, 1e-5) : x;
    };
    const auto memory = [&](const at::Tensor& x, int bits, const std::string& name) {
      const MemoryCodes codes = memory_codes(x, x.size(-1) / bits, bits, config.weighting, "x");
      return memory_lookup(codes, p[name + ".tables"], p[name + ".bias"], bits, false).view({2, 17, -1});
    };
    const at::Tensor x = at::embedding(p["embed_tokens"], tokens), xn = norm(x);
    const auto heads = [&](const std::string& name) {
      return memory(xn, 4, "layers.0.attention." + name).view({2, 17, 2, 16}).transpose(1, 2);
    };
    const at::Tensor scores = at::matmul(heads("q"), heads("k").transpose(2, 3)) / 4.0;
    const at::Tensor hidden = at::ones({17, 17}, at::kBool).triu(1);
    const at::Tensor mixed =
        at::matmul(at::softmax(scores.masked_fill(hidden, -1e30), -1), heads("v")).transpose(1, 2).reshape({2, 17, 32});
    const at::Tensor z = x + mixed, u = memory(norm(z), 4, "layers.0.ffn.up");
    const at::Tensor y = z + memory(at::layer_norm(u, {u.size(-1)}, {}, {}, 1e-5), 5, "layers.0.ffn.down");
    const at::Tensor last = outer == OuterNorm::kLayer ? norm(y) : y / (y.square().mean(-1, true).sqrt() + 1e-8);
    const at::Tensor expected = at::matmul(last, p["lm_head"].t());
    EXPECT_LT((logits_of(*decoder, tokens) - expected).abs().max().item<double>(), 2e-4);
  }
}

TEST(MemoryFormer, CacheAndFullPassAgree) {
  const auto decoder = tiny_model();
  const at::NoGradGuard no_grad;
  const at::Tensor tokens = some_tokens(), expected = decoder->forward({tokens, {}, {}, nullptr});
  nn::KvCache cache = decoder->make_cache(2, 4);
  std::vector<at::Tensor> parts = {decoder->forward({tokens.slice(1, 0, 5), {}, {}, &cache})};
  for (std::int64_t i = 5; i < 17; ++i) parts.push_back(decoder->forward({tokens.slice(1, i, i + 1), {}, {}, &cache}));
  EXPECT_LT((at::cat(parts, 1) - expected).abs().max().item<double>(), 1e-4);
}

class MemoryFormerFolder : public testing::Test {
 protected:
  void SetUp() override { register_memoryformer(); }
  static void edit(const fs::path& file, const std::string& from, const std::string& to) {
    std::string text(as_text(read_file(file)));
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    std::ofstream(file, std::ios::trunc) << text;
  }
  const TemporaryFolder folder;
};

TEST_F(MemoryFormerFolder, RoundTrip) {
  for (const OuterNorm outer : {OuterNorm::kRms, OuterNorm::kLayer, OuterNorm::kNone}) {
    MemoryFormerConfig config = tiny_config();
    config.outer_norm = outer;
    config.weighting = {MemoryScore::kProb, 0.7};
    const auto decoder = tiny_model(config);
    save_decoder(folder.path(), *decoder);
    const auto again = load_decoder(folder.path());
    ASSERT_NE(memoryformer_config_of(*again), nullptr);
    EXPECT_EQ(memoryformer_config_of(*again)->weighting.temperature, 0.7);
    EXPECT_TRUE(logits_of(*again, some_tokens()).equal(logits_of(*decoder, some_tokens())));
    std::int64_t count = 0;
    for (const at::Tensor& parameter : again->parameters()) count += parameter.numel();
    EXPECT_EQ(count, parameter_count(config));
    // Rounding moves some inputs of a hash over zero, and the output jumps there.
    EXPECT_LT((logits_of(*load_decoder(folder.path(), WeightType::kBFloat16), some_tokens()) -
               logits_of(*decoder, some_tokens()))
                  .norm()
                  .item<double>(),
              0.3 * logits_of(*decoder, some_tokens()).norm().item<double>());
  }
  const ModelWeights weights = ModelWeights::open(folder.path());
  EXPECT_NE(weights.find("blocks.1.attn.k.tables"), nullptr);
  EXPECT_EQ(weights.find("blocks.0.mlp.2.tables")->shape, (std::vector<std::int64_t>{8 << 5, 32}));
}

TEST_F(MemoryFormerFolder, AsInt8TheTablesArePacked) {
  const auto decoder = tiny_model();
  save_decoder(folder.path(), *decoder);
  const auto rounded = load_decoder(folder.path(), WeightType::kInt8);
  EXPECT_TRUE(rounded->is_int8());
  for (const auto& projection : memory_projections(*rounded)) {
    EXPECT_EQ(projection->tables.numel(), 0) << projection->place();
    projection->round_to_int8();  // once is enough
  }
  const at::Tensor expected = logits_of(*decoder, some_tokens());
  const double error = (logits_of(*rounded, some_tokens()) - expected).norm().item<double>();
  EXPECT_LT(error, 0.3 * expected.norm().item<double>());
  EXPECT_GT(error, 0);
  EXPECT_THAT(refusal([&] { save_decoder(folder / "again", *rounded); }), HasSubstr("int8"));
}

TEST_F(MemoryFormerFolder, OfTheOtherBitOrder) {
  const auto decoder = tiny_model();
  const at::Tensor expected = logits_of(*decoder, some_tokens());
  save_decoder(folder / "ours", *decoder);
  for (const auto& projection : memory_projections(*decoder)) {
    reverse_table_bits(projection->shape().tables, projection->shape().bits,
                       static_cast<std::size_t>(projection->shape().width) * 4, projection->tables.data_ptr());
  }
  save_decoder(folder / "theirs", *decoder);
  edit(folder / "theirs" / "config.json", "\"lsb\"", "\"msb\"");
  const auto loaded = load_decoder(folder / "theirs");
  EXPECT_TRUE(logits_of(*loaded, some_tokens()).equal(expected));
  save_decoder(folder / "again", *loaded);
  EXPECT_EQ(read_file(folder / "again" / "model.safetensors"), read_file(folder / "ours" / "model.safetensors"));
  EXPECT_EQ(read_file(folder / "again" / "config.json"), read_file(folder / "ours" / "config.json"));
}

TEST_F(MemoryFormerFolder, BadFilesAreRefused) {
  const auto refused = [&](const std::string& from, const std::string& to) {
    save_decoder(folder.path(), *tiny_model());
    edit(folder / "config.json", from, to);
    return refusal([&] { load_decoder(folder.path()); });
  };
  EXPECT_THAT(refused("\"sum_prob\"", "\"max_prob\""), AllOf(HasSubstr("'max_prob'"), HasSubstr("sum_prob")));
  EXPECT_THAT(refused("\"lsb\"", "\"middle\""), HasSubstr("bit_order 'middle'"));
  EXPECT_THAT(refused("\"bit_order\"", "\"order\""), HasSubstr("'bit_order' is missing"));
  EXPECT_THAT(refused("\"score\"", "\"scores\""), HasSubstr("'score' is missing"));
  EXPECT_THAT(refused("\"memory_bits\": 4", "\"memory_bits\": 5"),
              AllOf(HasSubstr("32"), HasSubstr("nearest"), HasSubstr("is 4")));
  EXPECT_THAT(refused("\"memory_bits\": 4", "\"memory_bits\": 2"), HasSubstr("memory_tables is 8"));
  EXPECT_THAT(refused("\"expanding_bits\": 1", "\"expanding_bits\": 2"),
              AllOf(HasSubstr("blocks.0.mlp.0.tables"), HasSubstr("[128, 40]"), HasSubstr("[128, 48]")));
  EXPECT_THAT(refused("\"expanding_bits\": 1", "\"expanding_bits\": 13"), HasSubstr("1 to 16 bits"));
  EXPECT_THAT(refused("\"temperature\": 1.0", "\"temperature\": 0.0"), HasSubstr("temperature"));
  EXPECT_THAT(refused("\"rmsnorm\"", "\"batchnorm\""), HasSubstr("'batchnorm'"));
}

TEST(MemoryFormer, TooLargeTablesAreRefusedBeforeTheyAreMade) {
  MemoryFormerConfig config = tiny_config();
  config.hidden_size = 8192;
  config.num_layers = 96;
  config.num_heads = 64;
  config.bits = 8;
  EXPECT_THAT(refusal([&] {
                make_memoryformer(config, {30.0, false});
              }),
              AllOf(HasSubstr("GB"), HasSubstr("--max-table-gb")));
}

TEST(MemoryFormer, SizesOfThePaper) {
  MemoryFormerConfig config;
  config.vocabulary_size = 50304;
  struct Size {
    std::int64_t d, layers, heads;
    double layer, all;
  };
  for (const Size& size :
       {Size{512, 6, 8, 69.2e6, 415e6}, Size{768, 12, 12, 155.7e6, 1.87e9}, Size{1024, 24, 16, 276.8e6, 6.64e9}}) {
    config.hidden_size = size.d;
    config.num_layers = size.layers;
    config.num_heads = size.heads;
    EXPECT_NEAR(static_cast<double>(table_elements(config)), size.all, 0.003 * size.all);
    EXPECT_NEAR(static_cast<double>(table_elements(config)) / static_cast<double>(size.layers), size.layer,
                0.003 * size.layer);
  }
}

struct MemoryRun {
  explicit MemoryRun(bool row_sparse = false)
      : decoder(tiny_model(tiny_config(), row_sparse)),
        data(std::make_shared<TokenWindows>(ruled_tokens(4000), 4, 32, 7)),
        trainer(std::make_unique<LanguageTrainer>(decoder, data, testing_support::TinyRun::usual())) {}
  std::vector<double> steps(int count) {
    std::vector<double> losses;
    for (int i = 0; i < count; ++i) losses.push_back(trainer->step().loss);
    return losses;
  }
  std::shared_ptr<Decoder> decoder;
  std::shared_ptr<TokenWindows> data;
  std::unique_ptr<LanguageTrainer> trainer;
};

TEST(MemoryFormer, LearnsARule) {
  MemoryRun run;
  const std::vector<double> losses = run.steps(60);
  EXPECT_GT(losses.front(), 3.0);
  EXPECT_LT(losses.back(), 0.6 * losses.front());
}

TEST(MemoryFormer, ResumesExactly) {
  register_memoryformer();
  const TemporaryFolder folder;
  MemoryRun whole, first, second;
  const std::vector<double> expected = whole.steps(6);
  first.steps(3);
  first.trainer->save(folder.path());
  second.trainer->load(folder.path());
  const std::vector<double> rest = second.steps(3);
  EXPECT_EQ(rest, std::vector<double>(expected.begin() + 3, expected.end()));
  EXPECT_TRUE(logits_of(*load_decoder(folder.path()), some_tokens()).equal(logits_of(*first.decoder, some_tokens())));
}

TEST(MemoryFormer, CheckpointedLayersLearnTheSame) {
  MemoryRun plain, checkpointed;
  checkpointed.decoder->set_checkpointing(true);
  EXPECT_EQ(plain.steps(3), checkpointed.steps(3));
}

// Nearly: a row that was read but has no gradient (of a query that sees one key only) is waited for in one way, and
// updated in the other.
TEST(RowSparseTables, SparseAndDenseGradientsAreTheSame) {
  MemoryRun dense(true), sparse(true);
  for (const auto& projection : memory_projections(*dense.decoder)) projection->set_sparse_gradient(false);
  const std::vector<double> one = dense.steps(4), other = sparse.steps(4);
  EXPECT_EQ(one[0], other[0]);
  for (std::size_t i = 1; i < 4; ++i) EXPECT_NEAR(one[i], other[i], 1e-3);
}

TEST(RowSparseTables, AreTheDenseOptimizerWhereEveryRowIsRead) {
  torch::manual_seed(9);
  const at::Tensor start = torch::randn({7, 5});
  AdamWSettings by_row;
  by_row.row_sparse = [](const std::string&) { return true; };
  AdamW dense({{"x", start.clone().requires_grad_()}}, {}), sparse({{"x", start.clone().requires_grad_()}}, by_row);
  for (int step = 0; step < 5; ++step) {
    const at::Tensor gradient = torch::randn({7, 5});
    dense.parameters()[0].value.mutable_grad() = gradient;
    sparse.parameters()[0].value.mutable_grad() = gradient.to_sparse(1);
    dense.step(1e-2, 0.5);
    sparse.step(1e-2, 0.5);
  }
  EXPECT_TRUE(sparse.parameters()[0].value.equal(dense.parameters()[0].value));
  EXPECT_TRUE(sparse.second_moments().at("x").equal(dense.second_moments().at("x")));
}

// A row waits three steps: decay is made up for, moments are as they were.
TEST(RowSparseTables, AWaitingRowDecaysWhenItIsReadAgain) {
  AdamWSettings settings;
  settings.weight_decay = 0.5;
  settings.row_sparse = [](const std::string&) { return true; };
  AdamW optimizer({{"x", at::ones({2, 1}).requires_grad_()}}, settings);
  const auto step = [&](float first, float second) {
    optimizer.parameters()[0].value.mutable_grad() = at::tensor({first, second}).view({2, 1});
    optimizer.step(0.1);
  };
  const auto row = [&](const at::Tensor& tensor) { return tensor[0][0].item<double>(); };
  step(1.0F, 1.0F);
  const double value = row(optimizer.parameters()[0].value), moment = row(optimizer.first_moments().at("x"));
  step(0.0F, 1.0F);
  step(0.0F, 1.0F);
  EXPECT_EQ(row(optimizer.parameters()[0].value), value);
  EXPECT_EQ(row(optimizer.first_moments().at("x")), moment);
  step(1.0F, 1.0F);
  const double m = 0.9 * moment + 0.1, v = 0.95 * 0.05 + 0.05;
  const double expected = value * std::pow(0.95, 3) -
                          0.1 / (1 - std::pow(0.9, 4)) * m / (std::sqrt(v) / std::sqrt(1 - std::pow(0.95, 4)) + 1e-8);
  EXPECT_NEAR(row(optimizer.parameters()[0].value), expected, 1e-6);
  EXPECT_EQ(optimizer.row_steps().at("x")[0].item<int>(), 4);
}

TEST(RowSparseTables, RowsThatAreNotReadStay) {
  MemoryRun run(true);
  const auto parameter = [&] { return run.decoder->named_parameters()["layers.0.ffn.down.tables"].detach().clone(); };
  const at::Tensor before = parameter();
  run.steps(1);
  const at::Tensor changed = parameter().ne(before).any(1),
                   step = run.trainer->optimizer().row_steps().at("layers.0.ffn.down.tables");
  EXPECT_TRUE(changed.equal(step.ne(0)));
  EXPECT_GT(changed.sum().item<std::int64_t>(), 0);
  EXPECT_LT(changed.sum().item<std::int64_t>(), changed.numel());
}

TEST(RowSparseTables, ResumeExactlyAndOnlyAsRowSparse) {
  const TemporaryFolder folder;
  MemoryRun whole(true), first(true), second(true), dense;
  const std::vector<double> expected = whole.steps(6);
  first.steps(3);
  first.trainer->save(folder.path());
  second.trainer->load(folder.path());
  EXPECT_EQ(second.steps(3), std::vector<double>(expected.begin() + 3, expected.end()));
  EXPECT_THAT(refusal([&] { dense.trainer->load(folder.path()); }),
              AllOf(HasSubstr("trained row-sparse"), HasSubstr("this run is dense")));
  dense.steps(1);
  dense.trainer->save(folder / "dense");
  EXPECT_THAT(refusal([&] { second.trainer->load(folder / "dense"); }), HasSubstr("trained dense"));
}

TEST(TableHealth, CountsReads) {
  const auto decoder = tiny_model();
  const at::Tensor tokens = some_tokens();
  const auto health = table_health(*decoder, [&] { logits_of(*decoder, tokens); });
  ASSERT_EQ(health.size(), 6U);
  EXPECT_EQ(health[0].place, "layers.0.attention");
  EXPECT_EQ(health[5].place, "layers.1.ffn.down");
  EXPECT_EQ(health[5].bits, 5);
  for (const TableHealth& table : health) {
    EXPECT_GT(table.entropy, 2.0);
    EXPECT_LE(table.entropy, table.bits);
    EXPECT_LE(table.least_entropy, table.entropy);
    EXPECT_GT(table.mean_p, std::pow(0.5, table.bits));
    EXPECT_LT(table.mean_p, 1.0);
    EXPECT_LT(table.dead, 0.9);
  }
  EXPECT_EQ(summary_of(health).size(), 12U);
  // One token reads one row a table.
  const auto one = table_health(*decoder, [&] { logits_of(*decoder, at::zeros({1, 1}, at::kLong)); });
  EXPECT_EQ(one[0].entropy, 0.0);
  EXPECT_DOUBLE_EQ(one[0].dead, 15.0 / 16);
}

}  // namespace
}  // namespace kinglet
