// kinglet generate and kinglet eval perplexity on a model whose text is known (tests/support/chain_model.h).
#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/chain_model.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing_support::ChainModel;
using testing_support::ProcessResult;
using testing_support::TemporaryFolder;
using Arguments = std::vector<std::string>;

class Generate : public testing::Test {
 protected:
  Generate() { model.write_folder(path()); }

  std::string path() const { return (folder / "model").string(); }
  void write(const fs::path& name, const std::string& text) const {
    write_file_atomically(folder / name, as_bytes(text));
  }

  ProcessResult run(const Arguments& more, const std::string& of = {}) const {
    Arguments all = {"generate", "--model", of.empty() ? path() : of};
    for (const auto& [option, value] : {std::pair("--temperature", "0"), std::pair("--max-tokens", "5")}) {
      if (std::find(more.begin(), more.end(), option) == more.end()) all.insert(all.end(), {option, value});
    }
    all.insert(all.end(), more.begin(), more.end());
    return testing_support::run_kinglet(all);
  }
  // What is printed, without the line break at the end.
  std::string text(const Arguments& more, const std::string& of = {}) const {
    const ProcessResult result = run(more, of);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(result.out.ends_with('\n'));
    return result.out.substr(0, result.out.size() - 1);
  }
  json document(Arguments more, const std::string& of = {}) const {
    more.emplace_back("--json");
    const ProcessResult result = run(more, of);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out);
  }
  void expect_refused(const Arguments& more, const std::string& words, const std::string& of = {}) const {
    const ProcessResult result = run(more, of);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(words));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
  }

  const TemporaryFolder folder;
  ChainModel model;
};

TEST_F(Generate, ContinuesAText) {
  const ProcessResult result = run({"--prompt", "a"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "bcdef\n");
  EXPECT_THAT(result.err, HasSubstr("prompt 1 tokens"));
  EXPECT_THAT(result.err, HasSubstr("new 5 tokens"));
  EXPECT_THAT(result.err, HasSubstr("end: length"));
  EXPECT_EQ(run({"--prompt", "a", "--quiet"}).err, "");
  EXPECT_EQ(text({"--prompt", "a", "--echo"}), "abcdef");
  EXPECT_EQ(text({"--prompt", "a", "--dtype", "bf16"}), "bcdef");
  EXPECT_EQ(text({"--prompt", "a", "--max-tokens", "0"}), "");
}

TEST_F(Generate, ReadsThePromptFromAFile) {
  write("prompt.txt", "a\n");
  EXPECT_EQ(text({"--prompt-file", (folder / "prompt.txt").string()}), "bcdef");
}

TEST_F(Generate, PrintsOneDocument) {
  const json result = document({"--prompt", "a", "--logprobs", "--echo"});
  EXPECT_EQ(result.at("text"), "abcdef");
  EXPECT_EQ(result.at("prompt_tokens"), json({64}));
  EXPECT_EQ(result.at("tokens"), json({65, 66, 67, 68, 69}));
  EXPECT_EQ(result.at("finish_reason"), "length");
  EXPECT_GT(result.at("tokens_per_second").get<double>(), 0.0);
  ASSERT_EQ(result.at("log_probabilities").size(), 5U);
  for (const json& one : result.at("log_probabilities")) EXPECT_NEAR(one.get<double>(), 0.0, 1e-3);
  EXPECT_FALSE(document({"--prompt", "a"}).contains("log_probabilities"));
}

TEST_F(Generate, ShowsLogProbabilitiesBehindTheText) {
  const ProcessResult result = run({"--prompt", "a", "--logprobs", "--max-tokens", "2"});
  EXPECT_EQ(result.out, "bc\n");
  EXPECT_THAT(result.err, HasSubstr("65  b\n"));
  EXPECT_THAT(result.err, HasSubstr("66  c\n"));
}

TEST_F(Generate, EndsAtAStopText) {
  EXPECT_EQ(text({"--prompt", "a", "--stop", "de"}), "bc");
  EXPECT_EQ(text({"--prompt", "a", "--stop", "xyz", "--stop", "f"}), "bcde");
  EXPECT_EQ(text({"--prompt", "a", "--stop", "efg"}), "bcdef");  // held back until the end
  EXPECT_EQ(document({"--prompt", "a", "--stop", "de"}).at("finish_reason"), "stop");
}

// Every place that names tokens at which a text ends.
TEST_F(Generate, EndsAtEos) {
  model.config["eos_token_id"] = {ChainModel::id_of('e'), ChainModel::kEndOfText};
  model.write_folder(path());
  EXPECT_EQ(text({"--prompt", "a"}), "bcd");
  EXPECT_EQ(document({"--prompt", "a"}).at("finish_reason"), "eos");
  EXPECT_EQ(text({"--prompt", "a", "--ignore-eos"}), "bcdef");
  write("model/generation_config.json", R"({"eos_token_id": [68, )" + std::to_string(ChainModel::id_of('c')) + "]}");
  EXPECT_EQ(text({"--prompt", "a"}), "b");
  write("model/generation_config.json", R"({"eos_token_id": )" + std::to_string(ChainModel::id_of('d')) + "}");
  EXPECT_EQ(text({"--prompt", "a"}), "bc");
  write("model/generation_config.json", R"({"eos_token_id": "d"})");
  expect_refused({"--prompt", "a"}, "generation_config.json: eos_token_id");
  fs::remove(folder / "model/generation_config.json");
  write("model/tokenizer_config.json", R"({"eos_token": "b"})");
  EXPECT_EQ(text({"--prompt", "a"}), "");
}

// Tokens 94 and on are single bytes that are no characters.
TEST_F(Generate, PrintsOnlyWholeCharacters) {
  EXPECT_EQ(text({"--prompt", "}", "--max-tokens", "3"}), "~\uFFFD\uFFFD");
}

TEST_F(Generate, SamplesWithASeed) {
  const auto sample = [&](const char* seed) {
    return text({"--prompt", "a", "--temperature", "20", "--top-p", "1", "--seed", seed, "--max-tokens", "12"});
  };
  EXPECT_EQ(sample("1"), sample("1"));
  EXPECT_NE(sample("1"), sample("2"));
  EXPECT_EQ(text({"--prompt", "a", "--temperature", "20", "--top-k", "1"}), "bcdef");
  EXPECT_EQ(text({"--prompt", "a", "--temperature", "20", "--min-p", "1"}), "bcdef");
  EXPECT_EQ(text({"--prompt", "a", "--temperature", "20", "--top-p", "0.001"}), "bcdef");
}

TEST_F(Generate, AnswersWithinTheChatTemplate) {
  write("model/tokenizer_config.json",
        R"({"chat_template": "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %})"
        R"({% if add_generation_prompt %}a{% endif %}"})");
  EXPECT_EQ(text({"--prompt", "x", "--chat"}), "bcdef");
  EXPECT_EQ(text({"--prompt", "x", "--chat", "--system", "y", "--echo"}), "s:y;u:x;abcdef");
  expect_refused({"--prompt", "x", "--system", "y"}, "--system requires --chat");
}

TEST_F(Generate, TakesTheFolderOfARun) {
  fs::create_directories(folder / "run");
  fs::rename(folder / "model", folder / "run/model");
  EXPECT_EQ(text({"--prompt", "a"}, (folder / "run").string()), "bcdef");
}

TEST_F(Generate, ReadsGgufFiles) {
  auto file = ChainModel::gguf();
  file.boolean("tokenizer.ggml.add_bos_token", true);
  file.text("tokenizer.chat_template", "{{ bos_token }}{{ messages[0].content }}");
  model.add_tensors(file);
  write("with.gguf", file.bytes());
  const std::string with = (folder / "with.gguf").string();
  EXPECT_EQ(text({"--prompt", "a"}, with), "bcdef");
  EXPECT_EQ(document({"--prompt", "a"}, with).at("prompt_tokens"), json({600, 64}));
  EXPECT_EQ(document({"--prompt", "a", "--chat"}, with).at("prompt_tokens"), json({600, 64}));
  EXPECT_EQ(text({"--prompt", "", "--max-tokens", "2"}, with), "!\"");  // behind BOS alone

  auto plain = ChainModel::gguf();
  plain.boolean("tokenizer.ggml.add_bos_token", false).u32("tokenizer.ggml.eot_token_id", ChainModel::id_of('d'));
  model.add_tensors(plain);
  write("without.gguf", plain.bytes());
  const std::string without = (folder / "without.gguf").string();
  EXPECT_EQ(document({"--prompt", "a"}, without).at("prompt_tokens"), json({64}));
  EXPECT_EQ(text({"--prompt", "a"}, without), "bc");
  expect_refused({"--prompt", "a", "--chat"}, "no chat template", without);
}

TEST_F(Generate, RefusesWrongNumbers) {
  for (const Arguments& wrong : std::vector<Arguments>{{"--top-p", "0"},
                                                       {"--top-p", "1.5"},
                                                       {"--top-p", "nan"},
                                                       {"--temperature", "-1"},
                                                       {"--temperature", "inf"},
                                                       {"--top-k", "-1"},
                                                       {"--min-p", "2"},
                                                       {"--repetition-penalty", "0"}}) {
    Arguments all = {"--prompt", "a"};
    all.insert(all.end(), wrong.begin(), wrong.end());
    expect_refused(all, wrong[0].substr(2));
  }
  expect_refused({"--prompt", "a", "--max-tokens", "-1"}, "--max-tokens");
  expect_refused({"--prompt", "a", "--dtype", "int3"}, "--dtype");
  expect_refused({"--prompt", "a", "--stop", ""}, "stop");
  expect_refused({"--prompt", ""}, "no tokens");  // stands for itself: this tokenizer has no BOS
  expect_refused({"--prompt", "a", "--prompt-file", "b"}, "--prompt");
  expect_refused({"--prompt-file", "/nowhere/prompt"}, "/nowhere/prompt");
}

TEST_F(Generate, RefusesModelsThatDoNotFit) {
  expect_refused({"--prompt", std::string(60, '~')}, "more than the model's 48 positions");
  expect_refused({"--prompt", "a"}, "no such file", "/nowhere/model");
  write("text.txt", "no model");
  expect_refused({"--prompt", "a"}, "no GGUF file", (folder / "text.txt").string());
  expect_refused({"--prompt", "a", "--chat"}, "no chat template");

  fs::rename(folder / "model/tokenizer.json", folder / "tokenizer.json");
  expect_refused({"--prompt", "a"}, "neither tokenizer.json nor tokenizer.model");
  fs::rename(folder / "tokenizer.json", folder / "model/tokenizer.json");

  model.config["vocab_size"] = 500;
  write("model/config.json", model.config.dump());
  expect_refused({"--prompt", "a"}, "the tokenizer has 601 tokens, the model 500 embeddings");
  model.config["vocab_size"] = ChainModel::kVocabulary;

  model.config["model_type"] = "mamba";
  write("model/config.json", model.config.dump());
  expect_refused({"--prompt", "a"}, "mamba");
  model.config["model_type"] = "llama";
  write("model/config.json", model.config.dump());

  fs::remove(folder / "model/model.safetensors");
  expect_refused({"--prompt", "a"}, "model.safetensors");
  write("model/model.safetensors.index.json", R"({"weight_map": {"lm_head.weight": "model-1.safetensors"}})");
  expect_refused({"--prompt", "a"}, "model-1.safetensors");
}

// A control token behind the embeddings, as Gemma 3 has one, hurts only where it occurs.
TEST_F(Generate, TakesControlTokensBehindTheEmbeddings) {
  json tokenizer = ChainModel::tokenizer();
  json more = tokenizer.at("added_tokens")[0];
  more["id"] = 601;
  more["content"] = "<image>";
  tokenizer["added_tokens"].push_back(more);
  write("model/tokenizer.json", tokenizer.dump());
  EXPECT_EQ(text({"--prompt", "a"}), "bcdef");
  expect_refused({"--prompt", "a<image>"}, "token id 601 is outside the model's 601 embeddings");
}

// Ctrl-C: what was made is printed, and the exit code says so.
TEST_F(Generate, StopsOnInterruptWithWhatItHas) {
  model.config["max_position_embeddings"] = 1 << 20;
  model.write_folder(path());
  const fs::path out = folder / "out";
  const pid_t child = fork();
  if (child == 0) {
    dup2(open(out.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    execl(KINGLET_PROGRAM, KINGLET_PROGRAM, "generate", "--model", path().c_str(), "--prompt", "a", "--temperature",
          "0", "--max-tokens", "1000000", "--ignore-eos", nullptr);
    _exit(127);
  }
  for (int waited = 0; waited < 6000 && (!fs::exists(out) || fs::file_size(out) < 20); ++waited) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  const std::string printed = testing_support::slurp(out);
  EXPECT_THAT(printed, testing::StartsWith("bcdefghijklmnop"));
  EXPECT_TRUE(printed.ends_with('\n'));
}

// Every next token has almost all of the probability, in the text that the model knows.
TEST_F(Generate, PerplexityOfAKnownText) {
  std::string known;
  for (char character = 'A'; character <= 'c'; ++character) known += character;
  write("known.txt", known);
  write("other.txt", "zyxwvutsrqponmlkjihgfedcba");
  const auto measure = [&](const std::string& name) {
    const auto result =
        testing_support::run_kinglet({"eval", "perplexity", "--model", path(), "--file", (folder / name).string(),
                                      "--window", "16", "--stride", "8", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out);
  };
  const json result = measure("known.txt");
  EXPECT_EQ(result.at("tokens").get<int>(), 'c' - 'A');  // all but the first
  EXPECT_FALSE(result.at("begins_with_bos").get<bool>());
  EXPECT_NEAR(result.at("perplexity").get<double>(), 1.0, 1e-3);
  EXPECT_GT(measure("other.txt").at("perplexity").get<double>(), 1e6);
  for (const Arguments& wrong :
       std::vector<Arguments>{{"--window", "49"}, {"--stride", "16"}, {"--stride", "0"}, {"--tokens", "1"}}) {
    Arguments all = {"eval",     "perplexity", "--model",  path(), "--file", (folder / "known.txt").string(),
                     "--window", "16",         "--stride", "8"};
    const auto place = std::find(all.begin(), all.end(), wrong[0]);
    if (place == all.end()) {
      all.insert(all.end(), wrong.begin(), wrong.end());
    } else {
      *(place + 1) = wrong[1];
    }
    const auto refused = testing_support::run_kinglet(all);
    EXPECT_EQ(refused.exit_code, 2) << refused.err;
    EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
  }
}

}  // namespace
}  // namespace kinglet
