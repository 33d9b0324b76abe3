// Damage: every changed byte of a store is detected, and nothing wrong is ever restored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/folders.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/training_run.h"

#include "kinglet/base/error.h"
#include "kinglet/methods/excp/step_chain.h"
#include "kinglet/methods/excp/store.h"
#include "kinglet/methods/excp/verify.h"

namespace kinglet::excp {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace testing_support;

class DamageTest : public testing::Test {
 protected:
  DamageTest() : run(5) {
    run.add_tensor("a.weight", {40, 16});
    run.add_tensor("b.weight", {32, 8}, DType::kF16);
    run.add_tensor("frozen", {9}, DType::kF32, false);
    Options options;
    options.lambda = 1;
    Store store = Store::open(folder / "store", Store::Access::kWrite);
    for (int i = 0; i < 3; ++i) {
      run.advance();
      options.lossless = i == 1;
      store.add(Checkpoint::open(run.write_in(folder / "run")), run.step(), options);
    }
  }
  fs::path step_path(int step) const { return folder / "store" / "steps" / fmt::format("{:010}.step", step); }
  Store reader() const { return Store::open(folder / "store", Store::Access::kRead); }

  void write(const fs::path& path, const std::string& content) { write_file_atomically(path, as_bytes(content)); }

  TemporaryFolder folder = TemporaryFolder::in_memory();
  TrainingRun run;
};

// The chain of three steps with one of them replaced by these bytes.
std::map<std::int64_t, std::string> problems_of(const std::vector<std::string>& files) {
  std::vector<std::shared_ptr<const StepFile>> opened;
  for (const std::string& file : files) opened.push_back(std::make_shared<const StepFile>(as_bytes(file), "test"));
  return verify_chain(StepChain(std::move(opened)));
}

bool is_detected(const std::vector<std::string>& files) {
  try {
    return !problems_of(files).empty();
  } catch (const Error&) {
    return true;
  }
}

TEST_F(DamageTest, EveryFlippedByteAndEveryTruncationIsDetected) {
  const std::vector<std::string> intact = {slurp(step_path(1)), slurp(step_path(2)), slurp(step_path(3))};
  ASSERT_THAT(problems_of(intact), IsEmpty());
  Rng rng(99);
  for (int trial = 0; trial < 9000; ++trial) {
    std::vector<std::string> files = intact;
    std::string& file = files[rng.below(files.size())];
    const std::size_t at = rng.below(file.size());
    file[at] = static_cast<char>(static_cast<unsigned char>(file[at]) ^ (1U + rng.below(255)));
    EXPECT_TRUE(is_detected(files)) << "byte " << at;
  }
  for (int trial = 0; trial < 1000; ++trial) {
    std::vector<std::string> files = intact;
    std::string& file = files[rng.below(files.size())];
    file.resize(rng.below(file.size()));
    EXPECT_TRUE(is_detected(files)) << "cut to " << file.size();
  }
}

TEST_F(DamageTest, TheStoreNamesTheDamagedStepAndWhatIsLeft) {
  const std::string intact = slurp(step_path(2));
  Rng rng(7);
  for (int trial = 0; trial < 40; ++trial) {
    std::string damaged = intact;
    damaged[rng.below(damaged.size())] ^= 0x10;
    write(step_path(2), damaged);
    const auto reports = reader().verify();
    ASSERT_EQ(reports.size(), 3U);
    EXPECT_TRUE(reports[0].ok);
    EXPECT_FALSE(reports[1].ok);
    EXPECT_NO_THROW(reader().get(1, folder / "first"));
    fs::remove_all(folder / "first");
    EXPECT_THROW(reader().get(2, folder / "second"), Error);
    EXPECT_FALSE(fs::exists(folder / "second"));
  }
  write(step_path(2), intact);
  EXPECT_THAT(reader().verify(), testing::Each(testing::Field(&Store::VerifyReport::ok, true)));
}

TEST_F(DamageTest, AMissingOrExchangedStepIsRefused) {
  const std::string second = slurp(step_path(2));
  write(step_path(2), slurp(step_path(1)));
  try {
    reader().get(3, folder / "out");
    ADD_FAILURE() << "restored from an exchanged step";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("step 3"), HasSubstr("0000000002.step"), HasSubstr("the one before it is 1")));
    EXPECT_EQ(error.exit_code(), 1);
  }
  fs::remove(step_path(2));
  EXPECT_THROW(reader().get(3, folder / "out"), Error);
  const auto reports = reader().verify();
  EXPECT_TRUE(reports[0].ok);
  EXPECT_FALSE(reports[2].ok);
}

TEST_F(DamageTest, AParentOfAnotherRunIsRefused) {
  TrainingRun other(6);
  other.add_tensor("a.weight", {40, 16});
  other.advance();
  Store store = Store::open(folder / "other", Store::Access::kWrite);
  store.add(Checkpoint::open(other.write_in(folder / "other-run")), 1, Options());
  std::vector<std::string> files = {slurp(folder / "other" / "steps" / "0000000001.step"), slurp(step_path(2))};
  EXPECT_THROW(problems_of(files), Error);
}

TEST_F(DamageTest, EveryChangeOfTheManifestIsDetected) {
  const fs::path path = folder / "store" / "manifest.json";
  const std::string intact = slurp(path);
  Rng rng(3);
  for (int trial = 0; trial < 300; ++trial) {
    std::string damaged = intact;
    const std::size_t at = rng.below(damaged.size());
    if (std::isspace(static_cast<unsigned char>(damaged[at])) != 0) continue;  // blanks between tokens mean nothing
    damaged[at] = static_cast<char>(33 + rng.below(90));
    if (damaged == intact) continue;
    write(path, damaged);
    EXPECT_THROW(reader(), Error) << damaged;
  }
  for (std::size_t length = 0; length < intact.size() - 1; length += 7) {
    write(path, intact.substr(0, length));
    EXPECT_THROW(reader(), Error) << length;
  }
}

TEST_F(DamageTest, SalvageRestoresWhatVerifiesAndMarksTheRest) {
  const StepFile file(step_path(3));
  const auto parameter = std::find_if(file.index().parameters.begin(), file.index().parameters.end(),
                                      [](const StoredParameter& other) { return other.name == "a.weight"; });
  std::string damaged = slurp(step_path(3));
  damaged[parameter->payload_offset + 5] ^= 1;
  write(step_path(3), damaged);
  GetOptions options;
  options.salvage = true;
  const auto problems = reader().get(3, folder / "out", options);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_THAT(problems[0], HasSubstr("a.weight"));
  const SafetensorsFile restored(folder / "out" / "model.safetensors"),
      original(folder / "run" / "checkpoint-3" / "model.safetensors");
  for (std::size_t i = 0; i < restored.tensors().size(); ++i) {
    const TensorView view = restored.tensors()[i];
    if (view.name == "a.weight") {
      float first = 0;
      load_f32({view.dtype, view.data}, 0, 1, &first);
      EXPECT_TRUE(std::isnan(first));
    } else if (view.name == "frozen") {
      EXPECT_TRUE(std::equal(view.data.begin(), view.data.end(), original.tensors()[i].data.begin()));
    }
  }
  EXPECT_TRUE(fs::exists(folder / "out" / "optimizer.pt"));
}

}  // namespace
}  // namespace kinglet::excp
