// Tables that are used from the file, int8 tables in files, and what is refused of them.
#include "kinglet/methods/memoryformer/file_tables.h"

#include <cstring>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

namespace stdfs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

MemoryFormerConfig small_shape() {
  MemoryFormerConfig config;
  config.vocabulary_size = 32;
  config.hidden_size = 24;
  config.num_layers = 2;
  config.num_heads = 2;
  config.max_positions = 64;
  config.bits = 3;
  config.expanding_bits = 1;
  return config;
}

std::shared_ptr<Decoder> small_model(const MemoryFormerConfig& config = small_shape()) {
  auto decoder = make_memoryformer(config);
  decoder->initialize(11);
  return decoder;
}

at::Tensor answer_of(Decoder& decoder) {
  const at::NoGradGuard no_grad;
  const at::Tensor tokens = at::randint(0, 32, {2, 9}, at::detail::createCPUGenerator(4), at::kLong);
  return decoder.logits(decoder.forward({tokens, {}, {}, nullptr}));
}

TableUse use_of(TablePlace place) {
  TableUse use;
  use.place = place;
  return use;
}

// The tensors of a folder, to be changed and written again.
class EditedWeights {
 public:
  explicit EditedWeights(const stdfs::path& folder) : file_(folder / "model.safetensors") {
    const SafetensorsFile file(file_);
    for (const TensorView& view : file.tensors()) {
      data_.emplace_back(view.data.begin(), view.data.end());
      views_.push_back(view);
    }
  }
  TensorView& at(const std::string& name) {
    const auto found = std::find_if(views_.begin(), views_.end(), [&](const auto& view) { return view.name == name; });
    if (found == views_.end()) throw std::runtime_error(name);
    return *found;
  }
  Bytes& data(const std::string& name) { return data_[static_cast<std::size_t>(&at(name) - views_.data())]; }
  void remove(const std::string& name) {
    data_.erase(data_.begin() + (&at(name) - views_.data()));
    views_.erase(views_.begin() + (&at(name) - views_.data()));
  }
  // Before the others, so that they begin this many bytes later.
  void put_in_front(std::size_t bytes) {
    data_.insert(data_.begin(), Bytes(bytes));
    views_.insert(views_.begin(), {"vision.padding", DType::kI8, {static_cast<std::int64_t>(bytes)}, {}});
  }
  void write() {
    for (std::size_t i = 0; i < views_.size(); ++i) views_[i].data = data_[i];
    write_safetensors(file_, views_);
  }

 private:
  stdfs::path file_;
  std::vector<Bytes> data_;
  std::vector<TensorView> views_;
};

class FileTables : public testing::Test {
 protected:
  void SetUp() override { register_memoryformer(); }
  void TearDown() override { register_memoryformer(); }

  stdfs::path saved(const std::string& dtype) {
    const stdfs::path path = folder / dtype;
    if (dtype == "int8") {
      save_with_int8_tables(path, *small_model());
    } else {
      save_decoder(path, *small_model(), dtype);
    }
    return path;
  }
  static std::shared_ptr<Decoder> used(const stdfs::path& path, WeightType type, const TableUse& use) {
    register_memoryformer(use);
    return load_decoder(path, type, LoadPurpose::kUse);
  }
  static std::string refused(const stdfs::path& path) {
    return testing_support::refusal([&] { load_decoder(path, WeightType::kFloat32, LoadPurpose::kUse); });
  }
  const testing_support::TemporaryFolder folder;
};

constexpr const char* kTables = "blocks.0.mlp.0.tables";
constexpr const char* kScales = "blocks.0.mlp.0.tables_scale";

TEST_F(FileTables, Int8FilesHoldWhatLoadingRounds) {
  const auto decoder = small_model();
  save_with_int8_tables(folder.path(), *decoder);
  const ModelWeights weights = ModelWeights::open(folder.path());
  EXPECT_EQ(weights.find("embed_in.weight")->dtype, DType::kBF16);
  EXPECT_EQ(weights.find("blocks.1.mlp.1.bias")->dtype, DType::kBF16);
  const auto loaded = load_decoder(folder.path(), WeightType::kFloat32, LoadPurpose::kUse);
  const auto before = stored_tables(*decoder), after = stored_tables(*loaded);
  ASSERT_EQ(before.size(), 10U);
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    const MemoryShape& shape = before[i].projection->shape();
    const PackedTables rounded(shape, before[i].projection->tables.data_ptr<float>(), DType::kI8, TableLayout::kRows);
    const TensorView &values = *weights.find(before[i].name), &scales = *weights.find(scale_name(before[i].name));
    EXPECT_EQ(values.dtype, DType::kI8);
    EXPECT_EQ(values.shape, (std::vector<std::int64_t>{shape.rows(), shape.width}));
    EXPECT_EQ(scales.dtype, DType::kF32);
    EXPECT_EQ(scales.shape, (std::vector<std::int64_t>{shape.rows()}));
    for (const ConstTables& tables : {rounded.view(), after[i].projection->table_view()}) {
      EXPECT_EQ(tables.dtype, DType::kI8);
      EXPECT_EQ(std::memcmp(tables.data, values.data.data(), values.data.size()), 0) << before[i].name;
      EXPECT_EQ(std::memcmp(tables.scales, scales.data.data(), scales.data.size()), 0) << before[i].name;
    }
  }
}

// All matrices are the same bf16 numbers, so nothing but the tables could differ.
TEST_F(FileTables, AnInt8FileAnswersAsItsModelRoundedWhileLoading) {
  const stdfs::path halves = saved("bfloat16");
  save_with_int8_tables(folder / "packed", *used(halves, WeightType::kAsStored, use_of(TablePlace::kFile)));
  const at::Tensor expected = answer_of(*load_decoder(halves, WeightType::kInt8));
  for (const TablePlace place : {TablePlace::kFile, TablePlace::kMemory}) {
    const auto packed = used(folder / "packed", WeightType::kInt8, use_of(place));
    EXPECT_TRUE(packed->is_int8());
    EXPECT_TRUE(answer_of(*packed).equal(expected));
  }
}

TEST_F(FileTables, Int8TablesStayInt8) {
  const stdfs::path path = saved("int8");
  for (const WeightType type : {WeightType::kFloat32, WeightType::kBFloat16, WeightType::kAsStored}) {
    const auto decoder = used(path, type, {});
    EXPECT_FALSE(decoder->is_int8());
    EXPECT_EQ(decoder->output_weight().scalar_type(), type == WeightType::kFloat32 ? at::kFloat : at::kBFloat16);
    for (const auto& projection : memory_projections(*decoder)) EXPECT_EQ(projection->table_view().dtype, DType::kI8);
  }
}

TEST_F(FileTables, InTheFileOrCopiedTheyAnswerAsParametersDo) {
  for (const char* dtype : {"float32", "bfloat16", "float16"}) {
    const stdfs::path path = saved(dtype);
    for (const WeightType type : {WeightType::kFloat32, WeightType::kBFloat16, WeightType::kAsStored}) {
      const auto trained = load_decoder(path, type);
      const at::Tensor expected = answer_of(*trained);
      for (const TablePlace place : {TablePlace::kFile, TablePlace::kMemory}) {
        const auto decoder = used(path, type, use_of(place));
        EXPECT_TRUE(answer_of(*decoder).equal(expected)) << dtype;
        EXPECT_EQ(memory_projections(*decoder)[0]->table_view().dtype,
                  memory_projections(*trained)[0]->table_view().dtype);
      }
    }
  }
}

// A byte of the file is changed behind the model's back: only a mapping shows it.
TEST_F(FileTables, OnlyWhatFitsStaysInTheFile) {
  const auto stays = [&](const std::string& dtype, WeightType type, TablePlace place) {
    const stdfs::path file = saved(dtype) / "model.safetensors";
    const auto decoder = used(file.parent_path(), type, use_of(place));
    std::uint64_t offset = 0;
    const SafetensorsFile content(file);
    for (const SafetensorsEntry& entry : content.header().entries) {
      if (entry.name == kTables) offset = entry.begin;
    }
    const auto first = [&] {
      char byte = 0;
      std::memcpy(&byte, stored_tables(*decoder)[3].projection->table_view().data, 1);
      return byte;
    };
    EXPECT_EQ(stored_tables(*decoder)[3].name, kTables);
    const char before = first();
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(offset)).put(static_cast<char>(before + 1));
    stream.close();
    return first() != before;
  };
  EXPECT_TRUE(stays("float32", WeightType::kFloat32, TablePlace::kFile));
  EXPECT_TRUE(stays("bfloat16", WeightType::kBFloat16, TablePlace::kFile));
  EXPECT_TRUE(stays("bfloat16", WeightType::kAsStored, TablePlace::kFile));
  EXPECT_TRUE(stays("int8", WeightType::kBFloat16, TablePlace::kFile));
  EXPECT_FALSE(stays("bfloat16", WeightType::kFloat32, TablePlace::kFile));
  EXPECT_FALSE(stays("float32", WeightType::kBFloat16, TablePlace::kFile));
  EXPECT_FALSE(stays("float32", WeightType::kInt8, TablePlace::kFile));
  EXPECT_FALSE(stays("float32", WeightType::kFloat32, TablePlace::kMemory));
}

TEST_F(FileTables, OfTheOtherBitOrderAreCopied) {
  for (const char* dtype : {"float32", "int8"}) {
    const stdfs::path path = saved(dtype);
    const at::Tensor expected = answer_of(*used(path, WeightType::kFloat32, use_of(TablePlace::kFile)));
    EditedWeights edited(path);
    for (const StoredTables& stored : stored_tables(*small_model())) {
      const MemoryShape& shape = stored.projection->shape();
      const auto reverse = [&](const std::string& name) {
        Bytes& data = edited.data(name);
        reverse_table_bits(shape.tables, shape.bits, data.size() / static_cast<std::size_t>(shape.rows()), data.data());
      };
      reverse(stored.name);
      if (std::string(dtype) == "int8") reverse(scale_name(stored.name));
    }
    edited.write();
    std::string config(as_text(read_file(path / "config.json")));
    config.replace(config.find("lsb"), 3, "msb");
    std::ofstream(path / "config.json", std::ios::trunc) << config;
    EXPECT_TRUE(answer_of(*used(path, WeightType::kFloat32, use_of(TablePlace::kFile))).equal(expected)) << dtype;
  }
}

TEST_F(FileTables, AtOddAddressesTheyAreCopied) {
  for (const char* dtype : {"float32", "bfloat16", "int8"}) {
    const stdfs::path path = saved(dtype);
    const at::Tensor expected = answer_of(*used(path, WeightType::kAsStored, use_of(TablePlace::kFile)));
    EditedWeights edited(path);
    edited.put_in_front(1);
    edited.write();
    const auto decoder = used(path, WeightType::kAsStored, use_of(TablePlace::kFile));
    EXPECT_TRUE(answer_of(*decoder).equal(expected)) << dtype;
    const auto address = reinterpret_cast<std::uintptr_t>(stored_tables(*decoder)[0].projection->table_view().data);
    EXPECT_EQ(address % 2, std::string(dtype) == "int8" ? 1U : 0U) << dtype;  // bytes are aligned everywhere
  }
}

TEST_F(FileTables, LargerThanTheFreeMemoryTheyStayInTheFileWithAWarning) {
  const stdfs::path path = saved("bfloat16");
  const at::Tensor expected = answer_of(*used(path, WeightType::kBFloat16, use_of(TablePlace::kMemory)));
  TableUse use;
  use.free_gb = 1e-5;
  use.most_gb = 1e-5;
  testing::internal::CaptureStderr();
  const auto decoder = used(path, WeightType::kBFloat16, use);
  const std::string warning = testing::internal::GetCapturedStderr();
  EXPECT_THAT(warning,
              AllOf(HasSubstr(path.string()), HasSubstr("1e-05 GB of memory are free"), HasSubstr(" % are in")));
  EXPECT_EQ(std::count(warning.begin(), warning.end(), '\n'), 1) << warning;
  EXPECT_TRUE(answer_of(*decoder).equal(expected));
  testing::internal::CaptureStderr();
  use.once = true;
  used(path, WeightType::kBFloat16, use);
  used(path, WeightType::kBFloat16, {});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  // What would have to be copied is refused.
  EXPECT_THAT(testing_support::refusal([&] { used(path, WeightType::kFloat32, use); }),
              AllOf(HasSubstr("1e-05 GB of memory"), HasSubstr("memoryformer pack")));
}

TEST_F(FileTables, OfAModelForUseAreNoParameters) {
  const auto decoder = load_decoder(saved("float32"), WeightType::kFloat32, LoadPurpose::kUse);
  std::int64_t count = 0;
  for (const at::Tensor& parameter : decoder->parameters()) count += parameter.numel();
  EXPECT_EQ(count, parameter_count(small_shape()) - table_elements(small_shape()));
  EXPECT_THAT(testing_support::refusal([&] { save_decoder(folder / "again", *decoder); }),
              HasSubstr("loaded for use alone"));
  EXPECT_FALSE(stdfs::exists(folder / "again"));
  MemoryFormerConfig large = small_shape();  // 11 TB as fp32
  large.hidden_size = 8192;
  large.bits = 16;
  large.expanding_bits = 0;
  MemoryFormerOptions options;
  options.purpose = LoadPurpose::kUse;
  EXPECT_EQ(memory_projections(*make_memoryformer(large, options)).size(), 10U);
  EXPECT_THAT(testing_support::refusal([&] { make_memoryformer(large); }), HasSubstr("--max-table-gb"));
}

TEST_F(FileTables, OfInt8CannotBeTrained) {
  const stdfs::path path = saved("int8");
  EXPECT_THAT(testing_support::refusal([&] { load_decoder(path); }),
              AllOf(HasSubstr(path.string()), HasSubstr("cannot be trained"), HasSubstr("packed from")));
  MemoryFormerConfig config = small_shape();
  config.int8_tables = true;
  EXPECT_THAT(testing_support::refusal([&] { make_memoryformer(config); }), HasSubstr("cannot be trained"));
  const auto decoder = used(path, WeightType::kFloat32, {});
  EXPECT_THAT(testing_support::refusal([&] { save_with_int8_tables(folder / "again", *decoder); }), HasSubstr("int8"));
}

TEST_F(FileTables, RoundedLaterTheyAreTheSame) {
  const stdfs::path path = saved("bfloat16");
  const at::Tensor expected = answer_of(*load_decoder(path, WeightType::kInt8));
  const auto trained = load_decoder(path, WeightType::kBFloat16);
  trained->round_to_int8();
  EXPECT_TRUE(answer_of(*trained).equal(expected));
  for (const TablePlace place : {TablePlace::kFile, TablePlace::kMemory}) {
    const auto decoder = used(path, WeightType::kBFloat16, use_of(place));
    decoder->round_to_int8();
    EXPECT_TRUE(answer_of(*decoder).equal(expected));
  }
}

TEST_F(FileTables, NumbersThatAreNotFiniteAreNotRounded) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const auto decoder = small_model();
    const at::NoGradGuard no_grad;
    stored_tables(*decoder)[3].projection->tables.select(0, 5).select(0, 7).fill_(bad);
    EXPECT_THAT(testing_support::refusal([&] { save_with_int8_tables(folder / "bad", *decoder); }),
                AllOf(HasSubstr(kTables), HasSubstr("row 5"), HasSubstr("not finite")));
    EXPECT_FALSE(stdfs::exists(folder / "bad"));
  }
}

class DamagedTables : public FileTables {
 protected:
  std::string refused_after(const std::string& dtype, const std::function<void(EditedWeights&)>& change) {
    const stdfs::path path = saved(dtype);
    EditedWeights edited(path);
    change(edited);
    edited.write();
    return refused(path);
  }
  std::string refused_with_config(const std::string& dtype, const std::string& from, const std::string& to) {
    const stdfs::path path = saved(dtype);
    std::string config(as_text(read_file(path / "config.json")));
    const std::size_t at = config.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    std::ofstream(path / "config.json", std::ios::trunc) << config.replace(at, from.size(), to);
    return refused(path);
  }
  std::string refused_with_factor(float factor) {
    return refused_after("int8", [&](EditedWeights& edited) {
      std::memcpy(edited.data(kScales).data() + 3 * sizeof(float), &factor, sizeof(factor));
    });
  }
};

TEST_F(DamagedTables, FactorsOfInt8Rows) {
  EXPECT_THAT(refused_after("int8", [](EditedWeights& edited) { edited.remove(kScales); }),
              AllOf(HasSubstr(kScales), HasSubstr("missing")));
  EXPECT_THAT(refused_after("int8",
                            [](EditedWeights& edited) {
                              edited.at(kScales).shape = {8, 8};
                            }),
              AllOf(HasSubstr(kScales), HasSubstr("[8, 8]"), HasSubstr("[64]")));
  EXPECT_THAT(refused_after("int8",
                            [](EditedWeights& edited) {
                              edited.at(kScales).shape = {63};
                              edited.data(kScales).resize(63 * sizeof(float));
                            }),
              AllOf(HasSubstr(kScales), HasSubstr("[63]")));
  EXPECT_THAT(refused_after("int8", [](EditedWeights& edited) { edited.at(kScales).dtype = DType::kI32; }),
              AllOf(HasSubstr(kScales), HasSubstr("I32")));
  EXPECT_THAT(refused_with_factor(std::numeric_limits<float>::quiet_NaN()),
              AllOf(HasSubstr(kScales), HasSubstr("row 3 is nan")));
  EXPECT_THAT(refused_with_factor(std::numeric_limits<float>::infinity()), HasSubstr("row 3 is inf"));
  EXPECT_THAT(refused_with_factor(-0.5F), HasSubstr("row 3 is -0.5"));
}

TEST_F(DamagedTables, TypesAndShapes) {
  EXPECT_THAT(refused_with_config("int8", "\"tables_dtype\": \"int8\",", ""),
              AllOf(HasSubstr("tables: it is of I8"), HasSubstr("tables_dtype"), HasSubstr("missing")));
  EXPECT_THAT(refused_with_config("int8", "\"tables_dtype\": \"int8\"", "\"tables_dtype\": \"float\""),
              HasSubstr("it is of I8"));
  EXPECT_THAT(refused_with_config("int8", "\"tables_dtype\": \"int8\"", "\"tables_dtype\": \"int4\""),
              AllOf(HasSubstr("'int4'"), HasSubstr("float and int8")));
  EXPECT_THAT(refused_with_config("int8", "\"tables_dtype\": \"int8\"", "\"tables_dtype\": 8"), HasSubstr("text"));
  EXPECT_THAT(refused_with_config("bfloat16", "\"tables_dtype\": \"float\"", "\"tables_dtype\": \"int8\""),
              AllOf(HasSubstr("it is of BF16"), HasSubstr("int8")));
  EXPECT_THAT(refused_with_config("int8", "\"expanding_bits\": 1", "\"expanding_bits\": 2"),
              AllOf(HasSubstr(kTables), HasSubstr("[64, 32]"), HasSubstr("[64, 40]")));
  EXPECT_THAT(refused_after("int8",
                            [](EditedWeights& edited) {
                              edited.at(kTables).shape = {32, 64};
                            }),
              AllOf(HasSubstr(kTables), HasSubstr("[32, 64]"), HasSubstr("[64, 32]")));
  EXPECT_THAT(refused_after("bfloat16", [](EditedWeights& edited) { edited.remove(kTables); }),
              AllOf(HasSubstr(kTables), HasSubstr("missing")));
  // Factors beside tables that have none.
  EXPECT_THAT(refused_after("bfloat16",
                            [](EditedWeights& edited) {
                              edited.put_in_front(4);
                              edited.at("vision.padding").name = kScales;
                            }),
              AllOf(HasSubstr("no place for tensor"), HasSubstr(kScales)));
}

TEST_F(DamagedTables, FilesThatEndEarly) {
  const stdfs::path path = saved("int8"), file = path / "model.safetensors";
  stdfs::resize_file(file, stdfs::file_size(file) - 1);
  EXPECT_THAT(refused(path), AllOf(HasSubstr(file.string()), HasSubstr("truncated")));
  stdfs::resize_file(file, 100);
  EXPECT_THAT(refused(path), HasSubstr("truncated"));
}

TEST_F(DamagedTables, InTheSameWayForTraining) {
  const stdfs::path path = saved("int8");
  std::string config(as_text(read_file(path / "config.json")));
  std::ofstream(path / "config.json", std::ios::trunc)
      << config.replace(config.find("\"tables_dtype\": \"int8\","), 23, "");
  EXPECT_THAT(testing_support::refusal([&] { load_decoder(path); }), HasSubstr("it is of I8"));
}

}  // namespace
}  // namespace kinglet
