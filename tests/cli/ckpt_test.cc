// kinglet ckpt on a simulated run: what each command prints, writes and returns.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/folders.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/training_run.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace testing_support;

class Ckpt : public testing::Test {
 protected:
  Ckpt() : run(11) {
    run.add_tensor("layers.0.weight", {160, 128});
    run.add_tensor("layers.1.weight", {96, 64});
    run.add_tensor("layers.0.bias", {160});
    write_checkpoints(3);
  }
  void write_checkpoints(int count) {
    for (int i = 0; i < count; ++i) {
      run.advance();
      run.write_in(run_folder());
    }
  }

  ProcessResult ckpt(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "ckpt");
    return run_kinglet(std::move(arguments));
  }
  // Standard output of a command that must succeed.
  std::string output(std::vector<std::string> arguments) const {
    const std::string command = testing::PrintToString(arguments);
    const ProcessResult result = ckpt(std::move(arguments));
    EXPECT_EQ(result.exit_code, 0) << command << result.err;
    return result.out;
  }
  json output_json(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    return json::parse(output(std::move(arguments)));
  }
  // The one line of a command that must fail with `exit_code`.
  std::string failure(int exit_code, std::vector<std::string> arguments) const {
    const std::string command = testing::PrintToString(arguments);
    const ProcessResult result = ckpt(std::move(arguments));
    EXPECT_EQ(result.exit_code, exit_code) << command << result.out << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << command << result.err;
    EXPECT_EQ(result.err.rfind("kinglet: ", 0), 0U) << result.err;
    return result.err;
  }
  void pack(std::vector<std::string> options = {"--lambda", "1"}) const {
    options.insert(options.begin(), {"pack", store(), run_folder()});
    output(std::move(options));
  }
  std::vector<std::int64_t> stored_steps() const {
    std::vector<std::int64_t> steps;
    const json list = output_json({"list", store()});
    for (const json& step : list["steps"]) steps.push_back(step["step"]);
    return steps;
  }

  std::string store() const { return folder / "run.store"; }
  std::string run_folder() const { return folder / "run"; }
  std::string checkpoint(int step) const { return folder / "run" / fmt::format("checkpoint-{}", step); }
  std::string in(const std::string& name) const { return folder / name; }

  TemporaryFolder folder;
  TrainingRun run;
};

TEST_F(Ckpt, WhatTheDocsPromise) {
  EXPECT_THAT(output({"pack", store(), run_folder(), "--lambda", "1"}),
              AllOf(HasSubstr("first step"), HasSubstr("lambda 1"), HasSubstr("3 added: ")));
  EXPECT_THAT(output({"list", store()}), AllOf(HasSubstr("delta"), HasSubstr("3 steps")));
  output({"get", store(), "--step", "3", in("restored")});
  EXPECT_THAT(different_files(checkpoint(3), in("restored")), ElementsAre("model.safetensors", "optimizer.pt"));
  EXPECT_THAT(output({"verify", store()}), HasSubstr("ok"));
}

TEST_F(Ckpt, AddTakesOneCheckpointAndItsOptions) {
  const json first = output_json({"add", store(), checkpoint(1), "--verify"});
  EXPECT_EQ(first["kind"], "key");
  EXPECT_EQ(first["step"], 1);
  const json second = output_json({"add", store(), checkpoint(2), "--target-sparsity", "0.9", "--bits", "8,2", "--beta",
                                   "1", "--coder", "zstd", "--exact-1d"});
  EXPECT_EQ(second["kind"], "delta");
  for (const json& tensor : second["tensors"]) {
    if (tensor["shape"].size() == 1) {
      EXPECT_THAT(tensor["coding"].get<std::string>(), HasSubstr("lossless"));
    } else {
      EXPECT_NEAR(tensor["weight_density"].get<double>(), 0.1, 0.01);
    }
  }
  EXPECT_EQ(output_json({"add", store(), checkpoint(3), "--lossless", "--step", "70"})["lossy"], false);
  output({"get", store(), "--step", "70", in("seventy")});
  EXPECT_THAT(different_files(checkpoint(3), in("seventy")), IsEmpty());
}

TEST_F(Ckpt, AddExplainsWhatIsWrong) {
  EXPECT_THAT(failure(2, {"add", store(), checkpoint(9)}), HasSubstr("checkpoint-9"));
  EXPECT_FALSE(fs::exists(store()));  // a mistake does not leave an empty store
  EXPECT_THAT(failure(2, {"add", store(), checkpoint(1), "--lambda", "1", "--alpha", "1"}), HasSubstr("--lambda"));
  EXPECT_THAT(failure(2, {"add", store(), checkpoint(1), "--lambda", "-1"}), HasSubstr("lambda"));
  EXPECT_THAT(failure(2, {"add", store(), checkpoint(1), "--bits", "4;4"}), HasSubstr("--bits"));
  EXPECT_THAT(failure(2, {"add", store(), checkpoint(1), "--bits", "3"}), HasSubstr("1, 2, 4 or 8"));
  EXPECT_THAT(failure(2, {"add", store(), checkpoint(1), "--coder", "gzip"}), HasSubstr("--coder"));
  EXPECT_THAT(failure(2, {"add", checkpoint(1), checkpoint(2)}), HasSubstr("not an ExCP store"));
  pack();
  EXPECT_THAT(failure(2, {"add", store(), checkpoint(2)}), HasSubstr("newest stored step 3"));
}

TEST_F(Ckpt, AddWarnsWhenLambdaDoesNothing) {
  output({"add", store(), checkpoint(1)});
  const ProcessResult result = ckpt({"add", store(), checkpoint(2), "--alpha", "1e-9"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("lambda"));
  EXPECT_EQ(ckpt({"-q", "add", store(), checkpoint(3), "--alpha", "1e-9"}).err, "");
}

TEST_F(Ckpt, ReplaceDeletesTheOriginal) {
  output({"add", store(), checkpoint(1), "--replace"});
  EXPECT_FALSE(fs::exists(checkpoint(1)));
  EXPECT_THAT(output({"verify", store()}), HasSubstr("ok"));
}

TEST_F(Ckpt, PackResumesAndLeavesOutWhatIsTooOld) {
  output({"add", store(), checkpoint(2)});
  const ProcessResult result = ckpt({"pack", store(), run_folder(), "--lambda", "1", "--json"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, AllOf(HasSubstr("checkpoint-1"), HasSubstr("newest stored step 2")));
  const json packed = json::parse(result.out);
  EXPECT_EQ(packed["added"].size(), 1U);
  EXPECT_EQ(packed["stored_before"], json({2}));
  EXPECT_EQ(packed["left_out"], json({1}));
  write_checkpoints(2);
  fs::remove_all(checkpoint(1));
  EXPECT_THAT(output({"pack", store(), run_folder(), "--lambda", "1"}),
              AllOf(HasSubstr("2 added"), HasSubstr("2 stored before")));
  EXPECT_THAT(output({"pack", store(), run_folder()}), HasSubstr("0 added"));
  EXPECT_THAT(stored_steps(), ElementsAre(2, 3, 4, 5));
}

TEST_F(Ckpt, PackExplainsAFolderWithoutCheckpoints) {
  fs::create_directory(in("empty"));
  EXPECT_THAT(failure(2, {"pack", store(), in("empty")}), HasSubstr("holds no checkpoints"));
  EXPECT_THAT(failure(2, {"pack", store(), in("nowhere")}), HasSubstr("no such folder"));
  EXPECT_FALSE(fs::exists(store()));
}

TEST_F(Ckpt, WatchOnceAddsWhatIsComplete) {
  EXPECT_EQ(output({"watch", store(), run_folder(), "--once", "--settle", "3600"}), "");
  EXPECT_THAT(stored_steps(), IsEmpty());
  const std::string lines = output({"watch", store(), run_folder(), "--once", "--settle", "0", "--json"});
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
  EXPECT_EQ(json::parse(lines.substr(0, lines.find('\n')))["step"], 1);
  EXPECT_THAT(stored_steps(), ElementsAre(1, 2, 3));
}

// Starts `kinglet ckpt watch`, waits until the store has the run's steps, interrupts it.
TEST_F(Ckpt, WatchAddsNewCheckpointsUntilInterrupted) {
  const pid_t child = fork();
  if (child == 0) {
    freopen("/dev/null", "w", stdout);
    freopen(in("watch.err").c_str(), "w", stderr);
    const std::string program = KINGLET_PROGRAM, where = store(), what = run_folder();
    execl(program.c_str(), "kinglet", "ckpt", "watch", where.c_str(), what.c_str(), "--settle", "0.2", "--interval",
          "0.1", "--lambda", "1", nullptr);
    _exit(127);
  }
  const auto wait_for = [&](int step) {  // the step files come into being by renaming: complete when there
    const fs::path file = folder / "run.store" / "steps" / fmt::format("{:010}.step", step);
    for (int tries = 0; tries < 600 && !fs::exists(file); ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    EXPECT_TRUE(fs::exists(file)) << slurp(in("watch.err"));
  };
  wait_for(3);
  write_checkpoints(1);
  wait_for(4);
  EXPECT_THAT(failure(1, {"add", store(), checkpoint(4), "--step", "9"}), HasSubstr("writing to this store"));
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  const json report = output_json({"verify", store()});
  EXPECT_EQ(report["ok"], true);
  EXPECT_EQ(report["steps"].size(), 4U);
}

TEST_F(Ckpt, InfoShowsEveryTensor) {
  pack();
  EXPECT_THAT(output({"info", store()}),
              AllOf(HasSubstr("step 3: delta to step 2"), HasSubstr("layers.1.weight"), HasSubstr("optimizer.pt")));
  const json info = output_json({"info", store(), "--step", "1"});
  EXPECT_EQ(info["kind"], "key");
  EXPECT_EQ(info["tensors"].size(), 3U);
  EXPECT_EQ(info["files"].size(), 5U);
  EXPECT_THAT(failure(2, {"info", store(), "--step", "4"}), HasSubstr("nearest: 3"));
  EXPECT_THAT(failure(2, {"info", run_folder()}), HasSubstr("not a checkpoint store"));
  EXPECT_THAT(failure(2, {"list", in("nowhere")}), HasSubstr("no such store"));
}

TEST_F(Ckpt, GetWritesPartsAndNeverOverwrites) {
  pack();
  output({"get", store(), "--step", "2", in("tensor.safetensors"), "--tensor", "layers.1.weight"});
  const SafetensorsFile file(in("tensor.safetensors"));
  EXPECT_EQ(file.tensors().size(), 3U);
  output({"get", store(), "--step", "2", in("weights"), "--weights-only"});
  EXPECT_TRUE(fs::exists(folder / "weights" / "model.safetensors"));
  EXPECT_FALSE(fs::exists(folder / "weights" / "optimizer.pt"));
  failure(2, {"get", store(), "--step", "2", in("weights")});
  EXPECT_THAT(failure(2, {"get", store(), "--step", "2", in("x"), "--tensor", "nonsense"}), HasSubstr("nonsense"));
  EXPECT_FALSE(fs::exists(in("x")));
}

TEST_F(Ckpt, DiffComparesPathsAndStoredSteps) {
  pack();
  EXPECT_THAT(output({"diff", checkpoint(2), checkpoint(2)}), HasSubstr("no difference"));
  const json lossless = output_json({"diff", checkpoint(1), store() + "@1"});
  EXPECT_EQ(lossless["same_bytes"], true);
  const json lossy = output_json({"diff", checkpoint(3), store() + "@3"});
  EXPECT_EQ(lossy["same_bytes"], false);
  EXPECT_GT(lossy["weight_error"], 0);
  EXPECT_LT(lossy["weight_error"], 0.1);
  EXPECT_NEAR(output_json({"info", store(), "--step", "3"})["weight_error"].get<double>(),
              lossy["weight_error"].get<double>(), 1e-6);
  for (const json& file : lossy["files"]) EXPECT_EQ(file["other_data"], "equal") << file;
  output({"diff", checkpoint(3), store() + "@3", "--fail-above", "0.5"});
  EXPECT_EQ(ckpt({"diff", checkpoint(3), store() + "@3", "--fail-above", "0"}).exit_code, 1);
  EXPECT_THAT(failure(2, {"diff", checkpoint(3), store()}), HasSubstr("@STEP"));
  EXPECT_THAT(failure(2, {"diff", checkpoint(3), store() + "@77"}), HasSubstr("no step 77"));
  EXPECT_THAT(failure(2, {"diff", checkpoint(3), in("nothing")}), HasSubstr("no such checkpoint"));
}

TEST_F(Ckpt, GcKeepsWhatIsWanted) {
  pack();
  EXPECT_EQ(output_json({"gc", store(), "--keep", "2", "--dry-run"})["removed"], json({3}));
  EXPECT_THAT(stored_steps(), ElementsAre(1, 2, 3));
  const json kept = output_json({"gc", "--keep", "2", store()});
  EXPECT_EQ(kept["removed"], json({3}));
  EXPECT_EQ(kept["kept_for_others"], json({1}));
  EXPECT_THAT(stored_steps(), ElementsAre(1, 2));
  EXPECT_THAT(failure(2, {"gc", store()}), HasSubstr("--keep"));
  EXPECT_THAT(failure(2, {"gc", store(), "--keep", "1,5"}), HasSubstr("step 5 is not in the store"));
  EXPECT_THAT(failure(2, {"gc", in("nowhere"), "--keep-last", "1"}), HasSubstr("no such store"));
  EXPECT_FALSE(fs::exists(in("nowhere")));
}

TEST_F(Ckpt, RebaseFreesAStepFromEarlierOnes) {
  pack();
  output({"get", store(), "--step", "3", in("before")});
  EXPECT_THAT(output({"rebase", store(), "--step", "2"}), HasSubstr("delta -> lossy key"));
  EXPECT_EQ(output_json({"gc", store(), "--keep-last", "2"})["removed"], json({1}));
  output({"get", store(), "--step", "3", in("after")});
  EXPECT_THAT(different_files(in("before"), in("after")), IsEmpty());
  EXPECT_THAT(output({"verify", store()}), HasSubstr("ok"));
}

TEST_F(Ckpt, ExportPlotWritesAPicture) {
  pack();
  const json plot = output_json({"export-plot", store(), in("chain.svg")});
  EXPECT_EQ(plot["steps"].size(), 3U);
  EXPECT_THAT(slurp(in("chain.svg")), AllOf(HasSubstr("<svg "), HasSubstr("3 checkpoints")));
}

TEST_F(Ckpt, ImportOfficialRebuildsACheckpoint) {
  const fs::path golden = fs::path(KINGLET_SOURCE_DIR) / "tests" / "golden";
  const std::string reference = golden / "io" / "checkpoints" / "trainer" / "checkpoint-2";
  const std::string compressed = golden / "excp" / "official" / "compressed.pt";
  const ProcessResult result = ckpt({"import-official", compressed, in("out"), "--reference", reference});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("learning rate"));
  EXPECT_THAT(different_files(reference, in("out")), ElementsAre("model.safetensors", "optimizer.pt"));
  EXPECT_THAT(failure(2, {"import-official", compressed, in("out2"), "--reference", checkpoint(1)}),
              HasSubstr("is not in the reference"));
}

// ---- damage: exit code 1 -----------------------------------------------------------------------------------------

void flip_byte(const fs::path& path, double place) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto at = static_cast<std::streamoff>(place * static_cast<double>(fs::file_size(path)));
  file.seekg(at);
  const int byte = file.get();
  file.seekp(at);
  file.put(static_cast<char>(byte ^ 0x40));
}

TEST_F(Ckpt, DamagedPayloadsAreFoundAndSalvaged) {
  pack();
  flip_byte(folder / "run.store" / "steps" / "0000000001.step", 0.5);
  const ProcessResult verify = ckpt({"verify", store(), "--json"});
  EXPECT_EQ(verify.exit_code, 1);
  EXPECT_EQ(json::parse(verify.out)["ok"], false);
  EXPECT_EQ(ckpt({"verify", store()}).exit_code, 1);
  failure(1, {"get", store(), "--step", "1", in("x")});
  EXPECT_FALSE(fs::exists(in("x")));
  const ProcessResult salvage = ckpt({"get", store(), "--step", "1", in("salvaged"), "--salvage"});
  EXPECT_EQ(salvage.exit_code, 1) << salvage.err;
  EXPECT_TRUE(fs::exists(folder / "salvaged" / "model.safetensors"));
  EXPECT_THAT(salvage.err, testing::Not(IsEmpty()));
}

TEST_F(Ckpt, ADamagedIndexFailsEveryReader) {
  pack();
  const fs::path file = folder / "run.store" / "steps" / "0000000003.step";
  fs::resize_file(file, fs::file_size(file) - 5);
  failure(1, {"info", store(), "--step", "3"});
  failure(1, {"get", store(), "--step", "3", in("x")});
  failure(1, {"export-plot", store(), in("chain.svg")});
  failure(1, {"rebase", store(), "--step", "3"});
  output({"get", store(), "--step", "2", in("two")});
}

TEST_F(Ckpt, AManifestIsRebuilt) {
  pack();
  std::ofstream(folder / "run.store" / "manifest.json") << "{";
  EXPECT_THAT(failure(1, {"list", store()}), HasSubstr("--rebuild-manifest"));
  EXPECT_THAT(output({"verify", store(), "--rebuild-manifest"}), HasSubstr("ok"));
  EXPECT_THAT(stored_steps(), ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace kinglet
