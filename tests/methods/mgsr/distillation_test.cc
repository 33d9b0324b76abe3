// The objective with real, tiny models: data, writing and revision, every method, exact resuming, caches of logits.
#include "kinglet/methods/mgsr/distillation.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/methods/mgsr/answers.h"
#include "kinglet/methods/mgsr/distill_run.h"
#include "kinglet/train/language_trainer.h"

namespace kinglet::mgsr {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::ByteTokenizer;
using testing_support::refusal;
using testing_support::TemporaryFolder;

constexpr std::int64_t kVocabulary = 259;

std::shared_ptr<Decoder> tiny_model(int size, std::uint64_t seed, int vocabulary = kVocabulary) {
  const std::string json = fmt::format(
      R"({{"model_type": "llama", "vocab_size": {}, "hidden_size": {}, "num_hidden_layers": 2,
          "num_attention_heads": 2, "intermediate_size": {}, "max_position_embeddings": 128}})",
      vocabulary, size, 2 * size);
  auto model = std::make_shared<Decoder>(parse_decoder_config(json, "config.json"));
  model->initialize(seed);
  return model;
}

std::string record(const std::string& instruction, const std::string& output) {
  return nlohmann::json({{"instruction", instruction}, {"input", ""}, {"output", output}}).dump() + "\n";
}

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

// "say ab" -> "ab ab": something to learn.
std::vector<Example> some_examples(int count) {
  const ByteTokenizer tokenizer;
  std::vector<Example> examples;
  for (int i = 0; i < count; ++i) {
    const std::string word(1, static_cast<char>('a' + i % 7));
    Example example{
        tokenizer.encode("say " + word + ":", false), tokenizer.encode(word + word + " " + word, false), {}, i};
    example.response.push_back(ByteTokenizer::kEos);
    examples.push_back(example);
  }
  return examples;
}

WritingSettings writing() {
  WritingSettings settings;
  settings.longest = 20;
  settings.ends = {ByteTokenizer::kEos};
  settings.padding = ByteTokenizer::kPadding;
  settings.vocabulary = kVocabulary;
  return settings;
}

DistillationSettings settings_of(const std::string& method) {
  Recipe recipe = Recipe::parse(R"(
[teacher]
from = "t"
[student]
from = "s"
[data]
train = ["d"]
longest = 20
longest_prompt = 10
[sequences]
threshold = 0.7
buffer = 6
[training]
steps = 12
)",
                                "recipe.toml");
  recipe.set("method=" + method);
  RecipeReader reader(std::move(recipe));
  DistillationSettings settings = read_distill_recipe(reader, basic_kinds(), "test").distillation;
  reader.finish();
  settings.writing = writing();
  settings.steps = 12;
  return settings;
}

// A student that learns from a teacher.
struct TinyDistillation {
  explicit TinyDistillation(const DistillationSettings& settings, std::shared_ptr<const TeacherCache> cache = nullptr) {
    data = std::make_shared<InstructionData>(some_examples(14), 3, ByteTokenizer::kPadding, 5);
    objective = std::make_shared<Distillation>(settings, teacher, data, std::make_shared<ByteTokenizer>(), cache);
    LanguageSettings trainer_settings;
    trainer_settings.learning_rate = [](std::int64_t) { return 3e-3; };
    trainer_settings.objective = objective;
    trainer = std::make_unique<LanguageTrainer>(student, data, trainer_settings);
  }
  std::vector<double> steps(int count) {
    std::vector<double> losses;
    for (int i = 0; i < count; ++i) {
      losses.push_back(trainer->step().loss);
      if (i % 2 == 1) objective->note_validation(1.0 + static_cast<double>(trainer->steps()) * 0.06);
    }
    return losses;
  }

  std::shared_ptr<Decoder> teacher = tiny_model(32, 7), student = tiny_model(16, 8);
  std::shared_ptr<InstructionData> data;
  std::shared_ptr<Distillation> objective;
  std::unique_ptr<LanguageTrainer> trainer;
};

TEST(Reading, TakesTheLastReplyAndCountsWhatDoesNotFit) {
  const TemporaryFolder folder;
  write_text(folder / "data.jsonl",
             record("hi", "there") + record(std::string(200, 'x'), "no") + record("long", std::string(90, 'y')));
  ReadingReport report;
  const auto examples = read_examples(folder / "data.jsonl", ByteTokenizer(), nullptr, {60, 80, ""}, report);
  ASSERT_EQ(examples.size(), 2U);
  EXPECT_EQ(report.long_prompts, 1);
  EXPECT_EQ(report.cut_responses, 1);
  const ByteTokenizer tokenizer;
  EXPECT_EQ(tokenizer.decode(examples[0].prompt), "### Instruction:\nhi\n\n### Response:\n");
  EXPECT_EQ(tokenizer.decode(examples[0].response), "there");
  EXPECT_EQ(examples[0].response.back(), ByteTokenizer::kEos);
  // A response that was cut gets no end of text.
  EXPECT_EQ(examples[1].prompt.size() + examples[1].response.size(), 80U);
  EXPECT_EQ(examples[1].response.back(), 'y');
}

TEST(Reading, KeepsAnEmptyResponseAsItsEnd) {
  const TemporaryFolder folder;
  write_text(folder / "data.jsonl", record("hi", ""));
  ReadingReport report;
  const auto examples = read_examples(folder / "data.jsonl", ByteTokenizer(), nullptr, {}, report);
  ASSERT_EQ(examples.size(), 1U);
  EXPECT_EQ(examples[0].response, std::vector<TokenId>{ByteTokenizer::kEos});
}

TEST(Reading, RefusesWhatIsNoInstruction) {
  const TemporaryFolder folder;
  ReadingReport report;
  const auto message = [&](const std::string& text, const ReadingSettings& settings = {}) {
    write_text(folder / "data.jsonl", text);
    return refusal([&] { read_examples(folder / "data.jsonl", ByteTokenizer(), nullptr, settings, report); });
  };
  EXPECT_THAT(message("{\"text\": \"plain\"}\n"), HasSubstr("line 1: it is no instruction"));
  EXPECT_THAT(message(record(std::string(300, 'x'), "a")), HasSubstr("no example is left (1 with a prompt of more"));
  EXPECT_THAT(message(record("a", "b"), {.spans_field = "spans"}), HasSubstr("there is no list 'spans'"));
}

TEST(Reading, SpansOfAField) {
  const TemporaryFolder folder;
  const auto with_spans = [](const std::string& spans) {
    return R"({"instruction": "q", "output": "für das Haus", "spans": )" + spans + "}\n";
  };
  write_text(folder / "data.jsonl", "\n" + with_spans("[[0, 3], [4, 12]]"));
  ReadingReport report;
  const ReadingSettings settings{.spans_field = "spans"};
  const auto examples = read_examples(folder / "data.jsonl", ByteTokenizer(), nullptr, settings, report);
  // Characters, not bytes: the first three are four bytes. (The blank belongs to what follows.)
  EXPECT_THAT(examples.at(0).spans, testing::ElementsAre(TokenSpan{0, 4}, TokenSpan{4, 13}));
  for (const char* spans : {"[[4, 12], [0, 3]]", "[[3, 1]]", "[[-1, 2]]", "[[0]]", "[0, 3]", "{}"}) {
    write_text(folder / "data.jsonl", with_spans(spans));
    EXPECT_THAT(refusal([&] { read_examples(folder / "data.jsonl", ByteTokenizer(), nullptr, settings, report); }),
                HasSubstr("line 1"))
        << spans;
  }
}

TEST(Data, IsAFunctionOfTheNumber) {
  const InstructionData data(some_examples(14), 3, 0, 5), again(some_examples(14), 3, 0, 5);
  EXPECT_TRUE(data.batch(7).tokens.equal(again.batch(7).tokens));
  EXPECT_EQ(data.fingerprint(), again.fingerprint());
  EXPECT_NE(data.fingerprint(), InstructionData(some_examples(13), 3, 0, 5).fingerprint());
  std::set<std::int64_t> seen;
  for (int batch = 0; batch < 14; ++batch) {
    for (const Example& example : data.examples(batch)) seen.insert(example.number);
  }
  EXPECT_EQ(seen.size(), 14U);  // 42 places are three whole epochs
  EXPECT_THAT(refusal([] { InstructionData({}, 3, 0, 5); }), HasSubstr("no examples"));
}

TEST(Writing, EndsOnceAtTheEndWithinTheLength) {
  const auto model = tiny_model(16, 3);
  const auto written = write_responses(*model, some_examples(20), writing(), 11);
  for (const Example& example : written) {
    ASSERT_FALSE(example.response.empty());
    EXPECT_LE(example.prompt.size() + example.response.size(), 20U);
    const auto ends = std::count(example.response.begin(), example.response.end(), ByteTokenizer::kEos);
    EXPECT_LE(ends, 1);
    EXPECT_EQ(ends, example.response.back() == ByteTokenizer::kEos ? 1 : 0);
  }
  const auto other = write_responses(*model, some_examples(20), writing(), 12);
  EXPECT_NE(other[0].response, written[0].response);
  EXPECT_EQ(write_responses(*model, some_examples(20), writing(), 11)[5].response, written[5].response);
}

TEST(Revision, WithModels) {
  const auto student = tiny_model(16, 3), teacher = tiny_model(32, 4);
  const WritingSettings settings = writing();
  const JudgingSettings judging;
  SequenceModels models(*student, *teacher, settings, judging);
  const auto written = write_responses(*student, some_examples(12), settings, 11);
  const auto judgements = models.judge(written, 21);
  std::vector<Example> revised = written;
  const RevisionReport report = revise(revised, models, {}, settings.ends, settings.longest, 5);
  EXPECT_GT(report.revised, 8);
  for (std::size_t i = 0; i < written.size(); ++i) {
    EXPECT_EQ(judgements[i].teacher_tokens.size(), written[i].response.size());
    const auto& before = written[i].response;
    const auto& after = revised[i].response;
    EXPECT_LE(revised[i].prompt.size() + after.size(), 20U);
    EXPECT_LE(std::count(after.begin(), after.end(), ByteTokenizer::kEos), 1);
    // The first difference is where the divergence of the candidates is largest; what stands before is as it was.
    const auto [first, second] = std::mismatch(before.begin(), before.end(), after.begin(), after.end());
    if (first == before.end()) continue;
    const auto place = static_cast<std::size_t>(first - before.begin());
    for (std::size_t j = 0; j < place; ++j) EXPECT_EQ(before[j], after[j]);
  }
}

// A teacher that is the student has nothing to correct, whatever tokens it draws.
TEST(Revision, OfEqualModelsChangesNothing) {
  const auto model = tiny_model(16, 3);
  const WritingSettings settings = writing();
  const JudgingSettings judging;
  SequenceModels models(*model, *model, settings, judging);
  const auto written = write_responses(*model, some_examples(6), settings, 11);
  std::vector<Example> revised = written;
  const RevisionReport report = revise(revised, models, {.rounds = 3}, settings.ends, settings.longest, 5);
  EXPECT_EQ(report.revised, 0);
  EXPECT_GT(report.candidates, 0);
  for (std::size_t i = 0; i < written.size(); ++i) EXPECT_EQ(written[i].response, revised[i].response);
}

class Methods : public testing::TestWithParam<std::string> {};

TEST_P(Methods, Learn) {
  TinyDistillation run(settings_of(GetParam()));
  const double before = validation_divergence(*run.student, *run.teacher, *run.data, 4, kVocabulary);
  const double loss_before = run.trainer->evaluate(*run.data, 4);
  const auto losses = run.steps(12);
  for (const double loss : losses) EXPECT_TRUE(std::isfinite(loss));
  const double after = validation_divergence(*run.student, *run.teacher, *run.data, 4, kVocabulary);
  if (GetParam() == "sft" || GetParam() == "kd" || GetParam() == "mgsr") {
    EXPECT_LT(run.trainer->evaluate(*run.data, 4), loss_before);
  } else if (GetParam() != "seqkd") {
    EXPECT_LT(after, before * 1.05);
  }
  const NamedNumbers numbers = run.objective->take_report().numbers();
  EXPECT_FALSE(numbers.empty());
  for (const auto& [name, value] : numbers) EXPECT_TRUE(std::isfinite(value)) << name;
}

// Twelve steps in one go, or seven, a checkpoint, and five: the same to the last bit.
TEST_P(Methods, ResumeExactly) {
  const TemporaryFolder folder;
  TinyDistillation whole(settings_of(GetParam())), first(settings_of(GetParam())), second(settings_of(GetParam()));
  std::vector<double> expected = whole.steps(8);
  const auto rest = whole.steps(4);
  expected.insert(expected.end(), rest.begin(), rest.end());
  std::vector<double> losses = first.steps(8);
  first.trainer->save(folder / "checkpoint");
  second.trainer->load(folder / "checkpoint");
  EXPECT_EQ(second.objective->threshold(), first.objective->threshold());
  EXPECT_EQ(second.objective->buffer().size(), first.objective->buffer().size());
  const auto more = second.steps(4);
  losses.insert(losses.end(), more.begin(), more.end());
  EXPECT_EQ(losses, expected);
}

INSTANTIATE_TEST_SUITE_P(All, Methods, testing::ValuesIn(method_names()), [](const auto& test) { return test.param; });

TEST(Objective, ReplaysAndRevisesWhereTheScheduleSaysSo) {
  TinyDistillation run(settings_of("mgsr"));
  run.steps(12);
  const DistillationReport report = run.objective->take_report();
  EXPECT_EQ(report.batches, 12);
  EXPECT_GT(report.from_student, 0);
  EXPECT_GT(report.from_replay, 0);
  EXPECT_GT(report.revision.revised, 0);
  EXPECT_EQ(run.objective->buffer().size(), 6U);
  EXPECT_GT(report.loss.pairs, 0);
  EXPECT_GT(report.loss.kept_mass / report.loss.band_rows, 0.5);
  EXPECT_GT(run.objective->threshold(), 0.7);
}

TEST(Objective, PassesOverBatchesWithoutResponses) {
  DistillationSettings settings = settings_of("kd");
  TinyDistillation run(settings);
  std::vector<Example> empty = {{{1, 2}, {}, {}, 0}};
  const auto data = std::make_shared<InstructionData>(empty, 2, 0, 1);
  Distillation objective(settings, run.teacher, data, std::make_shared<ByteTokenizer>());
  const BatchLoss loss = objective.loss(*run.student, data->batch(0), 0);
  EXPECT_EQ(loss.counted, 0);
  EXPECT_EQ(loss.sum.item<double>(), 0);
  EXPECT_EQ(objective.take_report().skipped, 1);
}

// Models with more rows than the tokenizer has tokens: the others take no part.
TEST(Objective, LeavesOutPaddedRowsOfTheVocabulary) {
  TinyDistillation run(settings_of("kd"));
  const auto padded = tiny_model(32, 7, 264);
  const double divergence = validation_divergence(*run.student, *padded, *run.data, 2, kVocabulary);
  EXPECT_GT(divergence, 0);
  Distillation objective(settings_of("mgsr"), padded, run.data, std::make_shared<ByteTokenizer>());
  EXPECT_TRUE(std::isfinite(objective.loss(*run.student, run.data->batch(0), 0).sum.item<double>()));
}

TEST(Objective, RefusesATeacherThatOverflows) {
  TinyDistillation run(settings_of("kd"));
  {
    const at::NoGradGuard no_grad;
    at::Tensor(run.teacher->parameters().front()).fill_(std::numeric_limits<float>::infinity());
  }
  try {
    run.trainer->step();
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("teacher: logits are NaN or infinite"));
  }
}

TEST(Objective, DamagedCheckpointsAreRefused) {
  const TemporaryFolder folder;
  TinyDistillation run(settings_of("mgsr"));
  run.steps(4);
  run.trainer->save(folder / "checkpoint");
  const fs::path file = folder / "checkpoint" / "distillation.safetensors";
  std::string bytes;
  {
    std::ifstream in(file, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  fs::remove(file);
  EXPECT_THROW(run.trainer->load(folder / "checkpoint"), Error);
  write_text(file, bytes.substr(0, bytes.size() / 2));
  EXPECT_THROW(run.trainer->load(folder / "checkpoint"), Error);
  write_text(file, bytes);
  run.trainer->load(folder / "checkpoint");
  TinyDistillation other(settings_of("kd"));
  EXPECT_THAT(refusal([&] { other.trainer->load(folder / "checkpoint"); }), HasSubstr("is not that of the checkpoint"));
}

TEST(Cache, HoldsTheTeachersDistributions) {
  const TemporaryFolder folder;
  TinyDistillation live(settings_of("kd"));
  std::vector<std::int64_t> numbers(14);
  std::iota(numbers.begin(), numbers.end(), 0);
  const auto& examples = live.data->all();
  write_teacher_cache(folder / "full", *live.teacher, examples, numbers, kVocabulary, 0, 4);
  write_teacher_cache(folder / "top", *live.teacher, examples, numbers, kVocabulary, 200, 4);
  const auto expected = live.steps(6);
  for (const char* name : {"full", "top"}) {
    TinyDistillation cached(settings_of("kd"), std::make_shared<TeacherCache>(folder / name, examples, kVocabulary));
    const auto losses = cached.steps(6);
    for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], expected[i], 2e-3 * expected[i]) << name;
  }
  EXPECT_LT(fs::file_size(folder / "top"), 14 * 5 * bytes_of_row(kVocabulary, 200) + 300);
  // Without the teacher, where the data's own sequences are all.
  const auto cache = std::make_shared<TeacherCache>(folder / "full", examples, kVocabulary);
  Distillation alone(settings_of("kd"), nullptr, live.data, std::make_shared<ByteTokenizer>(), cache);
  EXPECT_TRUE(std::isfinite(alone.loss(*live.student, live.data->batch(0), 0).sum.item<double>()));
  EXPECT_THAT(
      refusal([&] { Distillation(settings_of("gkd"), nullptr, live.data, std::make_shared<ByteTokenizer>(), cache); }),
      HasSubstr("need the teacher itself"));
}

TEST(Cache, RefusesDamageAndOtherData) {
  const TemporaryFolder folder;
  const auto teacher = tiny_model(16, 1);
  const auto examples = some_examples(4);
  write_teacher_cache(folder / "cache", *teacher, examples, {0, 2}, kVocabulary, 5, 4);
  std::string bytes;
  {
    std::ifstream in(folder / "cache", std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto open = [&](const std::string& content) {
    write_text(folder / "copy", content);
    return refusal([&] { TeacherCache(folder / "copy", examples, kVocabulary); });
  };
  for (std::size_t place = 0; place < bytes.size(); place += 7) {
    std::string damaged = bytes;
    damaged[place] = static_cast<char>(damaged[place] ^ 0x41);
    EXPECT_THAT(open(damaged), HasSubstr("delete the file")) << place;
  }
  for (const std::size_t size : {0UL, 7UL, 60UL, 100UL, bytes.size() - 1}) open(bytes.substr(0, size));
  EXPECT_THAT(refusal([&] { TeacherCache(folder / "cache", some_examples(5), kVocabulary); }), HasSubstr("other data"));
  EXPECT_THAT(refusal([&] { TeacherCache(folder / "cache", examples, 300); }), HasSubstr("other data"));
  const TeacherCache cache(folder / "cache", examples, kVocabulary);
  EXPECT_TRUE(cache.has(2));
  EXPECT_FALSE(cache.has(1) || cache.has(-1) || cache.has(4));
  EXPECT_THAT(refusal([&] { cache.rows({examples[1]}); }), HasSubstr("example 1 is not in it"));
}

TEST(Answers, AreScored) {
  TinyDistillation run(settings_of("sft"));
  run.steps(12);
  const auto examples = some_examples(5);
  WritingSettings settings = writing();
  settings.temperature = 0;
  const AnswerScores scores = score_answers(*run.student, ByteTokenizer(), examples, settings, 2, 1);
  ASSERT_EQ(scores.answers.size(), 5U);
  EXPECT_EQ(scores.answers[1].reference, "bb b");
  EXPECT_GE(scores.rouge_l.mean, 0);
  EXPECT_LE(scores.rouge_l.mean, 1);
}

struct OtherTokenizer : ByteTokenizer {
  std::string token(TokenId id) const override { return id == 65 ? "B" : ByteTokenizer::token(id); }
};
struct OtherEnd : ByteTokenizer {
  std::optional<TokenId> eos() const override { return 256; }
};
struct LargerTokenizer : ByteTokenizer {
  std::int64_t vocabulary_size() const override { return 300; }
};

TEST(Tokenizers, ThatDifferAreRefused) {
  check_same_tokenizer(ByteTokenizer(), ByteTokenizer());
  EXPECT_THAT(refusal([] { check_same_tokenizer(ByteTokenizer(), OtherTokenizer()); }),
              HasSubstr("different tokenizers: token 65 is 'A' and 'B'"));
  EXPECT_THAT(refusal([] { check_same_tokenizer(ByteTokenizer(), LargerTokenizer()); }),
              HasSubstr("259 and 300 tokens"));
  EXPECT_THAT(refusal([] { check_same_tokenizer(ByteTokenizer(), OtherEnd()); }), HasSubstr("257 and 256"));
}

std::string recipe_refusal(const std::string& more) {
  return refusal([&] {
    RecipeReader reader(Recipe::parse(more, "r.toml"));
    read_distill_recipe(reader, basic_kinds(), "r");
    reader.finish();
  });
}

TEST(DistillRecipe, RefusesWhatDoesNotGoTogether) {
  const std::string base = "[student]\nfrom = \"s\"\n[data]\ntrain = [\"d\"]\n[training]\nsteps = 5\n";
  const std::string teacher = "[teacher]\nfrom = \"t\"\n";
  EXPECT_THAT(recipe_refusal("method = \"kd\"\n" + base), HasSubstr("teacher.from is missing"));
  EXPECT_THAT(recipe_refusal("method = \"kld\"\n" + base), HasSubstr("method"));
  EXPECT_THAT(recipe_refusal("method = \"kd\"\n" + teacher + base + "[scrg]\nrounds = 1\n"),
              HasSubstr("the student writes nothing"));
  EXPECT_THAT(recipe_refusal(teacher + base + "[spans]\nsource = \"field\"\n"), HasSubstr("data.spans_field"));
  EXPECT_THAT(recipe_refusal("method = \"sft\"\n" + base + "[loss]\ncross_entropy = 0\n"),
              HasSubstr("as all other terms"));
  EXPECT_THAT(recipe_refusal(teacher + base + "[dac]\nlower = 0.9\nupper = 0.5\n"), HasSubstr("not below 'upper'"));
  EXPECT_THAT(recipe_refusal(teacher + base + "[dac]\nkeep_flor = 0.5\n"), HasSubstr("keep_floor"));
  EXPECT_THAT(recipe_refusal(
                  teacher + "[student]\nfrom = \"s\"\n[data]\ntrain = [\"d\"]\nlongest = 100\n[training]\nsteps = 5\n"),
              HasSubstr("no room for a response"));
}

}  // namespace
}  // namespace kinglet::mgsr
