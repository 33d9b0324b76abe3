#include "kinglet/methods/mgsr/sequence_models.h"

#include <algorithm>

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"
#include "kinglet/methods/mgsr/teacher_rows.h"
#include "kinglet/models/decoder/generation.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace {

constexpr std::int64_t kScoredLogitsAtOnce = 1 << 19;

// Continues each text by at most room[i] tokens.
std::vector<std::vector<TokenId>> continuations(Decoder& model, const std::vector<std::vector<TokenId>>& texts,
                                                const std::vector<std::int64_t>& room, const WritingSettings& settings,
                                                std::uint64_t stream) {
  GenerationOptions options;
  options.max_tokens = *std::max_element(room.begin(), room.end());
  options.choice.temperature = settings.temperature;
  options.choice.top_p = settings.top_p;
  options.choice.top_k = settings.top_k;
  options.choice.seed = stream;
  options.eos = settings.ends;
  const auto generations = generate(
      model, texts, options, [&](const GeneratedToken& token) { return token.position + 1 < room[token.sequence]; });
  std::vector<std::vector<TokenId>> result;
  for (const Generation& generation : generations) {
    if (generation.finish == GenerationEnd::kInterrupted) throw Error(ErrorKind::kInterrupted, "", "interrupted");
    std::vector<TokenId> tokens = generation.tokens;
    // Rows behind the vocabulary are padding of the matrix; an untrained model may still choose one.
    const auto outside =
        std::find_if(tokens.begin(), tokens.end(), [&](TokenId token) { return token >= settings.vocabulary; });
    tokens.erase(outside, tokens.end());
    result.push_back(std::move(tokens));
  }
  return result;
}

// One token of each row, drawn with the number of that row in [0, 1).
std::vector<TokenId> draw_tokens(const at::Tensor& p, const std::vector<double>& numbers) {
  const at::Tensor sums = p.cumsum(-1, at::kDouble);
  const at::Tensor totals = sums.select(1, sums.size(1) - 1).contiguous();
  at::Tensor wanted = at::empty({p.size(0), 1}, at::kDouble);
  for (std::int64_t row = 0; row < p.size(0); ++row) {
    wanted.data_ptr<double>()[row] = numbers[static_cast<std::size_t>(row)] * totals.data_ptr<double>()[row];
  }
  const at::Tensor places = at::searchsorted(sums, wanted, /*out_int32=*/false, /*right=*/true);
  std::vector<TokenId> tokens;
  for (std::int64_t row = 0; row < p.size(0); ++row) {
    tokens.push_back(static_cast<TokenId>(std::min(places[row][0].item<std::int64_t>(), p.size(1) - 1)));
  }
  return tokens;
}

std::vector<TokenId> likeliest_tokens(const at::Tensor& p) {
  const at::Tensor best = p.argmax(-1).contiguous();
  return {best.data_ptr<std::int64_t>(), best.data_ptr<std::int64_t>() + best.numel()};
}

}  // namespace

at::Tensor response_hidden(Decoder& model, const LanguageBatch& batch, const ResponseRows& rows) {
  const at::Tensor hidden = model.forward({batch.tokens, batch.positions, batch.first_key, nullptr});
  return hidden.reshape({-1, hidden.size(-1)}).index_select(0, at::tensor(rows.places, at::kLong));
}

std::vector<Example> write_responses(Decoder& model, const std::vector<Example>& examples,
                                     const WritingSettings& settings, std::uint64_t stream) {
  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::int64_t> room;
  for (const Example& example : examples) {
    prompts.push_back(example.prompt);
    room.push_back(std::max<std::int64_t>(1, settings.longest - static_cast<std::int64_t>(example.prompt.size())));
  }
  auto responses = continuations(model, prompts, room, settings, stream);
  std::vector<Example> result;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    result.push_back({examples[i].prompt, std::move(responses[i]), {}, examples[i].number});
  }
  return result;
}

std::vector<Judgement> SequenceModels::judge(const std::vector<Example>& examples, std::uint64_t stream) {
  const at::NoGradGuard no_grad;
  const LanguageBatch batch = batch_of(examples, writing_.padding);
  const ResponseRows rows = response_rows(examples, batch.tokens.size(1));
  std::vector<Judgement> judgements(examples.size());
  const auto total = static_cast<std::int64_t>(rows.places.size());
  if (total == 0) return judgements;
  const at::Tensor student_hidden = response_hidden(student_, batch, rows);
  const at::Tensor teacher_hidden = response_hidden(teacher_, batch, rows);
  const at::Tensor student_weight = student_.output_weight().narrow(0, 0, writing_.vocabulary);
  const at::Tensor teacher_weight = teacher_.output_weight().narrow(0, 0, writing_.vocabulary);
  Rng rng(stream);
  Judgement all;
  const std::int64_t most = std::max<std::int64_t>(16, kScoredLogitsAtOnce / writing_.vocabulary);
  for (std::int64_t begin = 0; begin < total; begin += most) {
    const std::int64_t count = std::min(most, total - begin);
    at::Tensor student = output_logits(student_hidden.narrow(0, begin, count), student_weight);
    at::Tensor teacher = output_logits(teacher_hidden.narrow(0, begin, count), teacher_weight);
    repair_logits(teacher, student);
    const Distributions both = distributions(teacher, student);
    const at::Tensor losses = divergence_rows(both, judging_.divergence).losses;
    std::vector<double> numbers;
    for (std::int64_t i = 0; i < count; ++i) numbers.push_back(rng.uniform());
    const std::vector<TokenId> tokens = judging_.most_likely ? likeliest_tokens(both.p) : draw_tokens(both.p, numbers);
    all.teacher_tokens.insert(all.teacher_tokens.end(), tokens.begin(), tokens.end());
    const float* const values = losses.data_ptr<float>();
    all.divergences.insert(all.divergences.end(), values, values + count);
  }
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const std::int64_t begin = rows.starts[i], end = rows.starts[i + 1];
    judgements[i].teacher_tokens.assign(all.teacher_tokens.begin() + begin, all.teacher_tokens.begin() + end);
    judgements[i].divergences.assign(all.divergences.begin() + begin, all.divergences.begin() + end);
  }
  return judgements;
}

std::vector<std::vector<TokenId>> SequenceModels::go_on(const std::vector<Example>& examples,
                                                        const std::vector<std::int64_t>& room, std::uint64_t stream) {
  std::vector<std::vector<TokenId>> texts;
  for (const Example& example : examples) {
    texts.push_back(example.prompt);
    texts.back().insert(texts.back().end(), example.response.begin(), example.response.end());
  }
  return continuations(student_, texts, room, writing_, stream);
}

}  // namespace kinglet::mgsr
