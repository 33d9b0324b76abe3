// The store on whole checkpoints: what goes in comes out, in every mode and layout.
#include "kinglet/methods/excp/store.h"

#include <cmath>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/folders.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/training_run.h"

#include "kinglet/base/error.h"
#include "kinglet/base/parallel.h"
#include "kinglet/io/zip.h"

namespace kinglet::excp {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace testing_support;

Options lossless() {
  Options options;
  options.lossless = true;
  return options;
}

Options store_with_lambda(double lambda) {
  Options options;
  options.lambda = lambda;
  return options;
}

std::string refusal_by_store(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "(no error)";
}

class StoreTest : public testing::Test {
 protected:
  StoreTest() : run(17) { run.add_usual_tensors(); }

  // `count` further checkpoints, packed with `options`.
  void pack(int count, const Options& options, bool verify = false) {
    Store store = Store::open(path(), Store::Access::kWrite);
    for (int i = 0; i < count; ++i) {
      run.advance();
      reports.push_back(store.add(Checkpoint::open(run.write_in(folder / "run")), run.step(), options, verify));
    }
  }
  Store reader() const { return Store::open(path(), Store::Access::kRead); }
  fs::path path() const { return folder / "store"; }
  fs::path original(std::int64_t step) const { return folder / "run" / fmt::format("checkpoint-{}", step); }
  fs::path restored(std::int64_t step, const GetOptions& options = {}) const {
    fs::path out = folder / fmt::format("restored-{}", step);
    fs::remove_all(out);
    reader().get(step, out, options);
    return out;
  }
  std::vector<float> weights(const fs::path& checkpoint, const std::string& name) const {
    const SafetensorsFile file(checkpoint / "model.safetensors");
    for (const TensorView& view : file.tensors()) {
      if (view.name != name) continue;
      std::vector<float> values(static_cast<std::size_t>(view.numel()));
      load_f32({view.dtype, view.data}, 0, values.size(), values.data());
      return values;
    }
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }

  static TensorRecord record(const std::vector<TensorRecord>& records, const std::string& name) {
    for (const TensorRecord& tensor : records) {
      if (tensor.name == name) return tensor;
    }
    ADD_FAILURE() << "no record of " << name;
    return {};
  }

  TemporaryFolder folder;
  TrainingRun run;
  std::vector<AddReport> reports;
};

TEST_F(StoreTest, LosslessStepsComeBackByteForByte) {
  pack(4, lossless(), true);
  for (std::int64_t step = 1; step <= 4; ++step) {
    EXPECT_THAT(different_files(original(step), restored(step)), IsEmpty()) << step;
  }
  EXPECT_TRUE(reports[0].info.key);
  EXPECT_FALSE(reports[1].info.key);
  EXPECT_FALSE(reports[3].info.lossy);
  EXPECT_EQ(reports[1].tensors.front().coding, "lossless delta");
}

TEST_F(StoreTest, LossyStepsKeepTheLayoutAndChangeOnlyTrainedNumbers) {
  pack(3, store_with_lambda(1), true);
  EXPECT_THAT(different_files(original(1), restored(1)), IsEmpty());
  EXPECT_THAT(different_files(original(3), restored(3)), ElementsAre("model.safetensors", "optimizer.pt"));
  EXPECT_EQ(weights(original(3), "frozen.weight"), weights(restored(3), "frozen.weight"));
  const auto before = weights(original(2), "embedding.weight"), truth = weights(original(3), "embedding.weight"),
             got = weights(restored(3), "embedding.weight");
  double error = 0, movement = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    error += std::pow(static_cast<double>(truth[i] - got[i]), 2);
    movement += std::pow(static_cast<double>(truth[i] - before[i]), 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.5 * movement);
  EXPECT_GT(reports[2].info.original_bytes, 10 * reports[2].info.stored_bytes);
  // A torch.save file whose storages changed has the right checksums again: strict readers check them.
  const TorchFile optimizer = TorchFile::open(restored(3) / "optimizer.pt");
  EXPECT_EQ(optimizer.named_tensors().size(), TorchFile::open(original(3) / "optimizer.pt").named_tensors().size());
  const MappedFile bytes(folder / "restored-3" / "optimizer.pt");
  for (const ZipEntry& entry : parse_zip(bytes.bytes(), "optimizer.pt"))
    check_zip_crc(bytes.bytes(), entry, "optimizer.pt");
}

TEST_F(StoreTest, TheRecordedErrorIsThatOfTheRestoredFile) {
  pack(3, store_with_lambda(1));
  const StepDetails details = reader().details(3);
  const auto truth = weights(original(3), "layers.1.weight"), got = weights(restored(3), "layers.1.weight");
  double error = 0;
  for (std::size_t i = 0; i < truth.size(); ++i)
    error += std::pow(static_cast<double>(truth[i]) - static_cast<double>(got[i]), 2);
  const TensorRecord tensor = record(details.tensors, "layers.1.weight");
  EXPECT_NEAR(tensor.squared_error, error, 1e-9 * error);
  EXPECT_EQ(tensor.coding, "delta");
}

TEST_F(StoreTest, LossyAndLosslessStepsMixInOneChain) {
  pack(2, store_with_lambda(2.5));
  pack(1, lossless(), true);
  pack(1, store_with_lambda(0.5), true);
  EXPECT_THAT(different_files(original(3), restored(3)), IsEmpty());
  EXPECT_THAT(reader().verify(), testing::Each(testing::Field(&Store::VerifyReport::ok, true)));
}

TEST_F(StoreTest, SameBytesWhateverTheThreads) {
  pack(3, store_with_lambda(1));
  const auto first = folder_content(path() / "steps");
  fs::remove_all(path());
  set_num_threads(1);
  TrainingRun again(17);
  again.add_usual_tensors();
  run = std::move(again);
  pack(3, store_with_lambda(1));
  set_num_threads(0);
  EXPECT_EQ(folder_content(path() / "steps"), first);
}

TEST_F(StoreTest, TheCacheIsOnlyACache) {
  pack(3, store_with_lambda(1));
  fs::remove(path() / "reference.cache");
  pack(1, store_with_lambda(1), true);
  {  // spoilt in the middle
    std::fstream cache(path() / "reference.cache", std::ios::in | std::ios::out | std::ios::binary);
    cache.seekp(100000);
    cache << std::string(5000, 'x');
  }
  pack(1, store_with_lambda(1), true);
  const auto stored = folder_content(path() / "steps");
  fs::remove_all(path());
  TrainingRun again(17);
  again.add_usual_tensors();
  run = std::move(again);
  pack(5, store_with_lambda(1));
  EXPECT_EQ(folder_content(path() / "steps"), stored);
}

TEST_F(StoreTest, KeyFramesComeWhenTheyShould) {
  Options options = store_with_lambda(1);
  options.key_every = 2;
  pack(4, options);
  EXPECT_TRUE(reports[3].info.key);
  EXPECT_THAT(reports[3].key_reason, HasSubstr("2 deltas"));
  run.add_tensor("new.weight", {1030, 1024});
  pack(1, store_with_lambda(1));
  EXPECT_THAT(reports[4].key_reason, HasSubstr("% of the weights"));
  run.add_tensor("small.weight", {16, 16});
  pack(1, store_with_lambda(1), true);
  EXPECT_FALSE(reports[5].info.key);
  EXPECT_EQ(record(reports[5].tensors, "small.weight").coding, "lossless");
  EXPECT_THAT(record(reports[5].tensors, "small.weight").fallback, HasSubstr("new"));
  EXPECT_EQ(record(reports[5].tensors, "new.weight").coding, "delta");
}

TEST_F(StoreTest, TinyTensorsAreKeptExactly) {
  pack(3, store_with_lambda(2.5));
  EXPECT_EQ(record(reports[2].tensors, "temperature").coding, "lossless delta");
  EXPECT_EQ(weights(original(3), "temperature"), weights(restored(3), "temperature"));
  EXPECT_THAT(reports[2].warnings, testing::Each(testing::Not(HasSubstr("too small"))));
}

TEST_F(StoreTest, OneTensorAndWeightsOnly) {
  pack(2, store_with_lambda(1));
  GetOptions tensor;
  tensor.tensor = "half.weight";
  reader().get(2, folder / "one.safetensors", tensor);
  const SafetensorsFile file(folder / "one.safetensors");
  ASSERT_EQ(file.tensors().size(), 3U);
  EXPECT_EQ(file.tensors()[0].dtype, DType::kBF16);
  EXPECT_EQ(file.tensors()[1].name, "half.weight.exp_avg");
  GetOptions weights_only;
  weights_only.weights_only = true;
  const auto content = folder_content(restored(2, weights_only));
  EXPECT_TRUE(content.contains("model.safetensors"));
  EXPECT_TRUE(content.contains("config.json"));
  EXPECT_FALSE(content.contains("optimizer.pt"));
  tensor.tensor = "nobody";
  EXPECT_THAT(refusal_by_store([&] { reader().get(2, folder / "two", tensor); }), HasSubstr("nobody"));
  EXPECT_FALSE(fs::exists(folder / "two"));
}

TEST_F(StoreTest, ExistingTargetsAreNotTouched) {
  pack(1, lossless());
  fs::create_directories(folder / "there");
  EXPECT_THAT(refusal_by_store([&] { reader().get(1, folder / "there"); }), HasSubstr("exists already"));
  EXPECT_THAT(folder_content(folder / "there"), IsEmpty());
}

TEST_F(StoreTest, StepsMustGrow) {
  pack(2, store_with_lambda(1));
  Store store = Store::open(path(), Store::Access::kWrite);
  const Checkpoint checkpoint = Checkpoint::open(original(1));
  EXPECT_THAT(refusal_by_store([&] { store.add(checkpoint, 2, store_with_lambda(1)); }),
              HasSubstr("not above the newest"));
  EXPECT_THAT(refusal_by_store([&] { store.add(checkpoint, -5, store_with_lambda(1)); }), HasSubstr("negative"));
  EXPECT_THAT(refusal_by_store([&] { store.find(7); }), HasSubstr("nearest: 2"));
  EXPECT_EQ(store.steps().size(), 2U);
}

TEST_F(StoreTest, OneWriterAndReadersBesideIt) {
  pack(1, lossless());
  const Store writer = Store::open(path(), Store::Access::kWrite);
  EXPECT_THAT(refusal_by_store([&] { Store::open(path(), Store::Access::kWrite); }),
              HasSubstr(fmt::format("pid {}", ::getpid())));
  EXPECT_EQ(reader().steps().size(), 1U);
  EXPECT_THAT(refusal_by_store([&] { reader().rebase(1); }), HasSubstr("reading only"));
}

TEST_F(StoreTest, OtherFoldersAreNotStores) {
  EXPECT_THAT(refusal_by_store([&] { reader(); }), HasSubstr("not an ExCP store"));
  write_file_atomically(folder / "file.txt", as_bytes("mine"));
  EXPECT_THAT(refusal_by_store([&] { Store::open(folder.path(), Store::Access::kWrite); }),
              HasSubstr("not an ExCP store"));
  EXPECT_EQ(folder_content(folder.path()).size(), 1U);
}

TEST_F(StoreTest, GarbageCollectionKeepsWhatIsNeeded) {
  Options options = store_with_lambda(1);
  options.key_every = 2;
  pack(7, options);  // keys 1, 4, 7
  Store store = Store::open(path(), Store::Access::kWrite);
  EXPECT_THAT(store.collect_garbage({5}), ElementsAre(1, 2, 3, 6, 7));
  EXPECT_EQ(store.steps().size(), 2U);
  EXPECT_EQ(folder_content(path() / "steps").size(), 2U);
  EXPECT_TRUE(store.verify()[1].ok);
}

TEST_F(StoreTest, RebasedStepsAndTheirChildrenStayTheSame) {
  pack(4, store_with_lambda(1));
  const fs::path third = folder / "third", fourth = folder / "fourth";
  reader().get(3, third);
  reader().get(4, fourth);
  {
    Store store = Store::open(path(), Store::Access::kWrite);
    store.rebase(3);
    EXPECT_TRUE(store.find(3).key);
    EXPECT_TRUE(store.find(3).lossy);
    EXPECT_THAT(refusal_by_store([&] { store.rebase(3); }), HasSubstr("key frame already"));
    EXPECT_THAT(store.collect_garbage({4}), ElementsAre(1, 2));
  }
  EXPECT_THAT(different_files(third, restored(3)), IsEmpty());
  EXPECT_THAT(different_files(fourth, restored(4)), IsEmpty());
  EXPECT_THAT(reader().verify(), testing::Each(testing::Field(&Store::VerifyReport::ok, true)));
  pack(1, store_with_lambda(1), true);
  EXPECT_EQ(reports.back().info.parent, 4);
}

TEST_F(StoreTest, ALostManifestIsRebuilt) {
  pack(4, store_with_lambda(1));
  const auto before = slurp(path() / "manifest.json");
  fs::remove(path() / "manifest.json");
  EXPECT_THAT(refusal_by_store([&] { Store::open(path(), Store::Access::kWrite); }), HasSubstr("--rebuild-manifest"));
  EXPECT_THAT(Store::rebuild_manifest(path()), IsEmpty());
  EXPECT_EQ(slurp(path() / "manifest.json"), before);
  fs::remove(path() / "steps" / "0000000003.step");
  EXPECT_THAT(Store::rebuild_manifest(path()), ElementsAre(HasSubstr("step 4 needs step 3")));
  EXPECT_EQ(reader().steps().size(), 2U);
}

TEST_F(StoreTest, NonFiniteValuesAreRefusedOrKeptExactly) {
  pack(2, store_with_lambda(1));
  run.advance();
  run.tensors[0].weight[5] = std::nanf("");
  const Checkpoint checkpoint = Checkpoint::open(run.write_in(folder / "run"));
  Store store = Store::open(path(), Store::Access::kWrite);
  EXPECT_THAT(refusal_by_store([&] { store.add(checkpoint, 3, store_with_lambda(1)); }),
              testing::AllOf(HasSubstr("layers.0.weight"), HasSubstr("1 of 20480"), HasSubstr("--allow-nonfinite")));
  EXPECT_EQ(store.steps().size(), 2U);
  Options options = store_with_lambda(1);
  options.allow_nonfinite = true;
  const AddReport report = store.add(checkpoint, 3, options, true);
  EXPECT_EQ(record(report.tensors, "layers.0.weight").coding, "lossless delta");
  EXPECT_EQ(record(report.tensors, "layers.1.weight").coding, "delta");
  EXPECT_THAT(report.warnings, testing::Contains(HasSubstr("NaN or infinity")));
}

TEST_F(StoreTest, NegativeSecondMomentsAreRefused) {
  pack(1, store_with_lambda(1));
  run.advance();
  run.tensors[2].second[77] = -1e-9F;
  const Checkpoint checkpoint = Checkpoint::open(run.write_in(folder / "run"));
  Store store = Store::open(path(), Store::Access::kWrite);
  EXPECT_THAT(refusal_by_store([&] { store.add(checkpoint, 2, store_with_lambda(1)); }), HasSubstr("negative"));
  EXPECT_THAT(folder_content(path() / "steps"), testing::SizeIs(1));  // no leftover
}

TEST_F(StoreTest, WarnsOfSettingsThatDoNothing) {
  pack(2, Options());  // alpha; lambda comes out near 0.3
  for (SimulatedTensor& tensor : run.tensors) {
    for (float& value : tensor.second) value *= 1e6F;
  }
  pack(1, Options());
  EXPECT_THAT(reports.back().warnings, testing::Contains(HasSubstr("prunes almost nothing")));
}

TEST_F(StoreTest, ASingleFileIsRestoredAsOne) {
  run.advance();
  run.write(folder / "state");
  fs::copy_file(folder / "state" / "model.safetensors", folder / "model-1.safetensors");
  Store store = Store::open(path(), Store::Access::kWrite);
  store.add(Checkpoint::open(folder / "model-1.safetensors"), 1, store_with_lambda(1));
  store.get(1, folder / "back.safetensors");
  EXPECT_EQ(slurp(folder / "back.safetensors"), slurp(folder / "model-1.safetensors"));
}

}  // namespace
}  // namespace kinglet::excp
