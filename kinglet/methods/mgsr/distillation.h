// The objective of a distillation, as a LanguageObjective: where the sequences of a step come from, what is done to
// them, and the loss on them.
//
//   1 a batch of examples; the schedule says whether its responses are the data's, the student's, the teacher's or
//   older
//     ones of the student
//   2 fresh responses of the student are revised (SCRG)
//   3 the teacher's and the student's distributions on them are compared
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kinglet/io/metrics.h"
#include "kinglet/methods/mgsr/distillation_loss.h"
#include "kinglet/methods/mgsr/instruction_data.h"
#include "kinglet/methods/mgsr/schedule.h"
#include "kinglet/methods/mgsr/sequence_models.h"
#include "kinglet/methods/mgsr/spans.h"
#include "kinglet/methods/mgsr/teacher_cache.h"
#include "kinglet/train/language_objective.h"

namespace kinglet::mgsr {

struct DistillationSettings {
  LossSettings loss;
  ScheduleSettings schedule;
  RevisionSettings revision{.rounds = 0};
  JudgingSettings judging;
  WritingSettings writing;
  SpanSettings spans;
  // Sequences that the student wrote have no labels to learn. With this, the data's are learnt in such steps too, at
  // the price of one more pass of the student.
  bool always_learn_data = false;
  double network_learning_rate = 1e-4;
  std::int64_t network_sees = 64;  // likeliest classes
  std::int64_t steps = 0;          // of the whole run, for the schedule
  std::int64_t accumulation = 1;
  std::uint64_t seed = 1;
};

// What the steps since the last report did.
struct DistillationReport {
  LossReport loss;
  RevisionReport revision;
  std::int64_t batches = 0, from_student = 0, from_replay = 0, from_teacher = 0;
  std::int64_t skipped = 0;                                      // batches without a token of a response
  double writing_seconds = 0, teacher_seconds = 0, seconds = 0;  // teacher: its passes for the loss
  NamedNumbers numbers() const;                                  // means, by the names of metrics.jsonl
};

class Distillation : public LanguageObjective {
 public:
  // `teacher` may be null when no term or policy needs it, or when `cache` holds its logits and every sequence is the
  // data's. Raises Error (bad input) for settings that do not go together.
  Distillation(DistillationSettings settings, std::shared_ptr<Decoder> teacher,
               std::shared_ptr<const InstructionData> data, std::shared_ptr<const Tokenizer> tokenizer,
               std::shared_ptr<const TeacherCache> cache = nullptr);

  BatchLoss loss(Decoder& student, const LanguageBatch& batch, std::int64_t number) override;
  AdamW* optimizer() override { return learns_network() ? network_optimizer_.get() : nullptr; }
  double learning_rate(std::int64_t) const override { return settings_.network_learning_rate; }
  void save(const std::filesystem::path& folder) const override;  // distillation.safetensors
  void load(const std::filesystem::path& folder) override;
  std::string fingerprint() const override { return fingerprint_; }

  // To be called with every validation loss, in order; moves the adaptive threshold.
  void note_validation(double loss) { threshold_.note(loss, settings_.schedule); }
  double threshold() const { return threshold_.threshold; }
  const ReplayBuffer& buffer() const { return buffer_; }
  DistillationReport take_report();

 private:
  bool learns_network() const {
    return settings_.loss.band_weight != 0 && settings_.loss.band_mode == BandMode::kJoint;
  }
  std::vector<Example> sequences(Decoder& student, std::int64_t number, SequenceSource& source);
  std::vector<Example> written_by_student(Decoder& student, const std::vector<Example>& examples, std::uint64_t stream);
  std::unique_ptr<TeacherRows> teacher_rows(const std::vector<Example>& examples, const LanguageBatch& batch,
                                            const ResponseRows& rows, SequenceSource source);
  std::vector<std::int64_t> pairs_of(const std::vector<Example>& examples, const ResponseRows& rows,
                                     SequenceSource source, std::uint64_t stream) const;
  at::Tensor data_loss(Decoder& student, const LanguageBatch& batch) const;
  void watch_band(const LossReport& report);

  DistillationSettings settings_;
  std::shared_ptr<Decoder> teacher_;
  std::shared_ptr<const InstructionData> data_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const TeacherCache> cache_;
  std::unique_ptr<BandNetwork> network_;
  std::unique_ptr<AdamW> network_optimizer_;
  AdaptiveThreshold threshold_;
  ReplayBuffer buffer_;
  DistillationReport report_;
  std::string fingerprint_;
  int collapsed_batches_ = 0;
};

// KL(P || Q), mean over the tokens of the responses in batches 0 .. count - 1: by this, not by the training loss,
// methods are compared.
double validation_divergence(Decoder& student, Decoder& teacher, const InstructionData& data, std::int64_t count,
                             std::int64_t vocabulary);

}  // namespace kinglet::mgsr
