#include "kinglet/methods/mgsr/distillation.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/log.h"
#include "kinglet/nn/token_loss.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace {

constexpr int kPatience = 100;  // batches with too little kept mass before a warning

class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_;
};

Rng numbers_of(std::uint64_t seed, std::int64_t number) {
  return Rng(seed * 0x9E3779B97F4A7C15ULL + static_cast<std::uint64_t>(number));
}

bool writes(SequencePolicy policy) { return policy != SequencePolicy::kOffline; }

}  // namespace

NamedNumbers DistillationReport::numbers() const {
  NamedNumbers result;
  const auto add = [&](const char* name, double sum, double count) {
    if (count > 0) result.emplace_back(name, sum / count);
  };
  if (loss.cross_entropy != 0) add("cross_entropy", loss.cross_entropy, loss.rows);
  if (loss.divergence != 0) add("divergence", loss.divergence, loss.rows);
  if (loss.band_rows > 0) {
    add("dac_kl", loss.band, loss.band_rows);
    add("kept_mass", loss.kept_mass, loss.band_rows);
    add("kept_classes", loss.kept_classes, loss.band_rows);
    add("band_lower", loss.lower, loss.band_rows);
    add("band_upper", loss.upper, loss.band_rows);
  }
  add("span", loss.span, loss.pairs);
  add("from_student", static_cast<double>(from_student), static_cast<double>(batches));
  add("from_replay", static_cast<double>(from_replay), static_cast<double>(batches));
  if (revision.sequences > 0) {
    add("revised", static_cast<double>(revision.revised), static_cast<double>(revision.sequences));
    add("candidates", static_cast<double>(revision.candidates), static_cast<double>(revision.tokens));
    add("error_divergence", revision.divergence, static_cast<double>(revision.revised));
    add("error_place", revision.place, static_cast<double>(revision.revised));
  }
  if (skipped > 0) result.emplace_back("skipped_batches", static_cast<double>(skipped));
  add("writing_seconds", writing_seconds, static_cast<double>(batches));
  add("batch_seconds", seconds, static_cast<double>(batches));
  return result;
}

Distillation::Distillation(DistillationSettings settings, std::shared_ptr<Decoder> teacher,
                           std::shared_ptr<const InstructionData> data, std::shared_ptr<const Tokenizer> tokenizer,
                           std::shared_ptr<const TeacherCache> cache)
    : settings_(std::move(settings)),
      teacher_(std::move(teacher)),
      data_(std::move(data)),
      tokenizer_(std::move(tokenizer)),
      cache_(std::move(cache)),
      buffer_(settings_.schedule.buffer_capacity) {
  const bool offline = !writes(settings_.schedule.policy);
  if (teacher_ == nullptr && ((settings_.loss.needs_teacher() && (cache_ == nullptr || !offline)) ||
                              settings_.schedule.policy == SequencePolicy::kTeacher || settings_.revision.rounds > 0)) {
    throw bad_input("teacher", "these settings need the teacher itself",
                    "name its folder; its logits in a file are enough only for the data's own sequences");
  }
  if (settings_.revision.rounds > 0 && offline) {
    throw bad_input("scrg", "there is nothing to revise where the student writes nothing",
                    "choose the policy on-policy, mixed or adaptive, or 0 rounds");
  }
  threshold_.threshold = settings_.schedule.first_threshold;
  if (settings_.loss.band_weight != 0 && settings_.loss.band_mode != BandMode::kFixed) {
    network_ = std::make_unique<BandNetwork>(settings_.writing.vocabulary, settings_.network_sees, settings_.seed);
    network_optimizer_ =
        std::make_unique<AdamW>(network_->parameters(), AdamWSettings{.beta2 = 0.999, .weight_decay = 0});
  }
  fingerprint_ =
      fmt::format("distillation {} seed {}{}", policy_names()[static_cast<std::size_t>(settings_.schedule.policy)],
                  settings_.seed, network_ ? " with a band network" : "");
}

std::vector<Example> Distillation::written_by_student(Decoder& student, const std::vector<Example>& examples,
                                                      std::uint64_t stream) {
  const Stopwatch watch(report_.writing_seconds);
  Rng streams(stream);
  std::vector<Example> written = write_responses(student, examples, settings_.writing, streams.next());
  if (settings_.revision.rounds > 0) {
    SequenceModels models(student, *teacher_, settings_.writing, settings_.judging);
    report_.revision.add(
        revise(written, models, settings_.revision, settings_.writing.ends, settings_.writing.longest, streams.next()));
  }
  for (const Example& example : written) buffer_.push(example);
  return written;
}

std::vector<Example> Distillation::sequences(Decoder& student, std::int64_t number, SequenceSource& source) {
  Rng rng = numbers_of(settings_.seed, number);
  const double u = rng.uniform();
  const std::uint64_t stream = rng.next();
  std::vector<Example> examples = data_->examples(number);
  source = sequence_source(settings_.schedule, threshold_.threshold, u, number / settings_.accumulation,
                           settings_.steps, buffer_.size(), examples.size());
  ++report_.batches;
  switch (source) {
    case SequenceSource::kData:
      return examples;
    case SequenceSource::kStudent:
      ++report_.from_student;
      return written_by_student(student, examples, stream);
    case SequenceSource::kReplay:
      ++report_.from_replay;
      return buffer_.draw(examples.size(), rng);
    case SequenceSource::kTeacher:
      break;
  }
  ++report_.from_teacher;
  const Stopwatch watch(report_.writing_seconds);
  return write_responses(*teacher_, examples, settings_.writing, stream);
}

std::unique_ptr<TeacherRows> Distillation::teacher_rows(const std::vector<Example>& examples,
                                                        const LanguageBatch& batch, const ResponseRows& rows,
                                                        SequenceSource source) {
  if (!settings_.loss.needs_teacher()) return nullptr;
  const Stopwatch watch(report_.teacher_seconds);
  const at::NoGradGuard no_grad;
  if (cache_ && source == SequenceSource::kData) return cache_->rows(examples);
  return std::make_unique<ModelTeacherRows>(response_hidden(*teacher_, batch, rows),
                                            teacher_->output_weight().narrow(0, 0, settings_.writing.vocabulary));
}

std::vector<std::int64_t> Distillation::pairs_of(const std::vector<Example>& examples, const ResponseRows& rows,
                                                 SequenceSource source, std::uint64_t stream) const {
  if (settings_.loss.span_weight == 0) return {};
  std::vector<std::vector<TokenSpan>> spans;
  for (const Example& example : examples) {
    if (settings_.spans.source == SpanSource::kField) {
      spans.push_back(source == SequenceSource::kData ? example.spans : std::vector<TokenSpan>());
    } else {
      spans.push_back(find_spans(*tokenizer_, example.response, settings_.spans, stream++));
    }
  }
  return neighbour_rows(rows, spans);
}

// The mean loss of the data's tokens.
at::Tensor Distillation::data_loss(Decoder& student, const LanguageBatch& batch) const {
  const at::Tensor hidden = student.forward({batch.tokens, batch.positions, batch.first_key, nullptr});
  const at::Tensor labels = batch.labels.reshape({-1});
  const auto counted = static_cast<double>(std::max<std::int64_t>(1, nn::counted_labels(labels)));
  return nn::token_loss_sum(hidden.reshape({-1, hidden.size(-1)}), student.output_weight(), labels) / counted;
}

BatchLoss Distillation::loss(Decoder& student, const LanguageBatch& batch, std::int64_t number) {
  const Stopwatch watch(report_.seconds);
  SequenceSource source = SequenceSource::kData;
  const std::vector<Example> examples = sequences(student, number, source);
  const LanguageBatch shown = source == SequenceSource::kData ? batch : batch_of(examples, data_->padding());
  const ResponseRows rows = response_rows(examples, shown.tokens.size(1));
  const auto count = static_cast<std::int64_t>(rows.places.size());
  if (count == 0) {
    ++report_.skipped;
    return {student.output_weight().narrow(0, 0, 1).sum() * 0.0, 0};
  }
  const bool has_labels = source == SequenceSource::kData || source == SequenceSource::kTeacher;
  LossSettings settings = settings_.loss;
  if (!has_labels) settings.cross_entropy_weight = 0;
  const auto teacher = teacher_rows(examples, shown, rows, source);
  LossRows loss_rows;
  loss_rows.hidden = response_hidden(student, shown, rows);
  loss_rows.output_weight = student.output_weight().narrow(0, 0, settings_.writing.vocabulary);
  loss_rows.labels = shown.labels.reshape({-1}).index_select(0, at::tensor(rows.places, at::kLong));
  loss_rows.pairs = pairs_of(examples, rows, source, settings_.seed + static_cast<std::uint64_t>(number) * 1000);
  loss_rows.teacher = teacher.get();
  loss_rows.network = network_.get();
  LossReport report;
  at::Tensor sum = distillation_loss_sum(loss_rows, settings, report);
  report_.loss.add(report);
  watch_band(report);
  if (!has_labels && settings_.always_learn_data && settings_.loss.cross_entropy_weight != 0) {
    sum = sum + data_loss(student, batch) * (settings_.loss.cross_entropy_weight * static_cast<double>(count));
  }
  return {sum, count};
}

void Distillation::watch_band(const LossReport& report) {
  if (!learns_network() || report.band_rows == 0) return;
  const bool low = report.kept_mass / report.band_rows < settings_.loss.keep_floor - 0.05;
  collapsed_batches_ = low ? collapsed_batches_ + 1 : 0;
  if (collapsed_batches_ != kPatience) return;
  log_warning(
      "the mask of DAC-KL has collapsed: it keeps {:.2f} of the teacher's mass; raise keep_penalty, or set the "
      "band to 'frozen' or 'fixed'",
      report.kept_mass / report.band_rows);
}

DistillationReport Distillation::take_report() { return std::exchange(report_, {}); }

double validation_divergence(Decoder& student, Decoder& teacher, const InstructionData& data, std::int64_t count,
                             std::int64_t vocabulary) {
  const at::NoGradGuard no_grad;
  LossSettings settings;
  settings.divergence_weight = 1;
  LossReport total;
  for (std::int64_t number = 0; number < count; ++number) {
    const std::vector<Example> examples = data.examples(number);
    const LanguageBatch batch = data.batch(number);
    const ResponseRows rows = response_rows(examples, batch.tokens.size(1));
    if (rows.places.empty()) continue;
    const ModelTeacherRows known(response_hidden(teacher, batch, rows),
                                 teacher.output_weight().narrow(0, 0, vocabulary));
    LossRows loss_rows;
    loss_rows.hidden = response_hidden(student, batch, rows);
    loss_rows.output_weight = student.output_weight().narrow(0, 0, vocabulary);
    loss_rows.labels = batch.labels.reshape({-1}).index_select(0, at::tensor(rows.places, at::kLong));
    loss_rows.teacher = &known;
    LossReport report;
    distillation_loss_sum(loss_rows, settings, report);
    total.add(report);
  }
  return total.rows > 0 ? total.divergence / total.rows : 0.0;
}

}  // namespace kinglet::mgsr
