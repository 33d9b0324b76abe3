#include "kinglet/train/language_trainer.h"

#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/nn/token_loss.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

std::vector<NamedParameter> parameters_of(const Decoder& decoder) {
  std::vector<NamedParameter> all;
  for (const auto& item : decoder.named_parameters()) all.push_back({item.key(), item.value()});
  return all;
}

// What the model's own parts know of it, unless the settings say otherwise.
AdamWSettings optimizer_settings(const Decoder& decoder, AdamWSettings settings) {
  if (!settings.row_sparse && decoder.parts() != nullptr) {
    settings.row_sparse = [parts = decoder.parts()](const std::string& name) { return parts->is_row_sparse(name); };
  }
  return settings;
}

}  // namespace

LanguageTrainer::LanguageTrainer(std::shared_ptr<Decoder> decoder, std::shared_ptr<const LanguageData> data,
                                 LanguageSettings settings, std::shared_ptr<ProcessGroup> group)
    : decoder_(std::move(decoder)),
      data_(std::move(data)),
      settings_(std::move(settings)),
      optimizer_(parameters_of(*decoder_), optimizer_settings(*decoder_, settings_.optimizer)),
      group_(std::move(group)) {
  TORCH_CHECK(settings_.accumulation > 0 && settings_.learning_rate, "accumulation and learning_rate must be set");
  TORCH_CHECK(group_ == nullptr || settings_.objective == nullptr, "an objective trains in one process");
  if (group_) buckets_ = std::make_unique<GradientBuckets>(*group_, optimizer_.parameters());
}

BatchLoss LanguageTrainer::token_loss(const LanguageBatch& batch) const {
  const nn::PrecisionGuard guard(settings_.precision);
  const at::Tensor hidden = decoder_->forward({batch.tokens, batch.positions, batch.first_key, nullptr});
  const at::Tensor labels = batch.labels.reshape({-1});
  const at::Tensor loss = nn::token_loss_sum(hidden.reshape({-1, hidden.size(-1)}), decoder_->output_weight(), labels);
  return {loss, nn::counted_labels(labels)};
}

BatchLoss LanguageTrainer::training_loss(const LanguageBatch& batch, std::int64_t number) const {
  if (!settings_.objective) return token_loss(batch);
  const nn::PrecisionGuard guard(settings_.precision);
  return settings_.objective->loss(*decoder_, batch, number);
}

void LanguageTrainer::clear_gradients() {
  optimizer_.clear_gradients();
  if (settings_.objective && settings_.objective->optimizer() != nullptr) {
    settings_.objective->optimizer()->clear_gradients();
  }
}

double LanguageTrainer::gradient_norm() const {
  AdamW* const more = settings_.objective ? settings_.objective->optimizer() : nullptr;
  const double norm = optimizer_.gradient_norm();
  return more == nullptr ? norm : std::hypot(norm, more->gradient_norm());
}

void LanguageTrainer::update(double lr, double gradient_scale) {
  const std::int64_t number = optimizer_.steps();
  optimizer_.step(lr, gradient_scale);
  if (settings_.objective && settings_.objective->optimizer() != nullptr) {
    settings_.objective->optimizer()->step(settings_.objective->learning_rate(number), gradient_scale);
  }
}

std::string LanguageTrainer::fingerprint() const {
  const std::string objective = settings_.objective ? settings_.objective->fingerprint() : std::string();
  return objective.empty() ? data_->fingerprint() : data_->fingerprint() + " " + objective;
}

StepReport LanguageTrainer::step() {
  StepReport report;
  const std::int64_t number = optimizer_.steps();
  report.lr = settings_.learning_rate(number);
  clear_gradients();
  const std::int64_t rank = group_ ? group_->rank() : 0, world = group_ ? group_->world() : 1;
  double total = 0.0, counted = 0.0;
  for (std::int64_t i = 0; i < settings_.accumulation; ++i) {
    const std::int64_t batch_number = (number * settings_.accumulation + i) * world + rank;
    const LanguageBatch batch = data_->batch(batch_number);
    const auto [loss, count] = training_loss(batch, batch_number);
    if (buckets_ && i + 1 == settings_.accumulation) buckets_->start();
    loss.backward();
    total += loss.item<double>();
    counted += static_cast<double>(count);
    report.tokens += batch.tokens.numel() * world;
  }
  report.stop = interrupted();
  if (group_) {
    buckets_->finish();
    const at::Tensor sums = at::tensor({total, counted, report.stop ? 1.0 : 0.0}, at::kDouble);
    group_->sum(sums);
    total = sums[0].item<double>();
    counted = sums[1].item<double>();
    report.stop = sums[2].item<double>() > 0.0;
  }
  // The gradient of the mean over all counted tokens of the step, however they fall into batches.
  const double mean = counted > 0 ? 1.0 / counted : 0.0;
  report.loss = total * mean;
  report.gradient_norm = gradient_norm() * mean;
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
    clear_gradients();
    throw failed(fmt::format("step {}", number + 1),
                 fmt::format("the loss is {} and the gradient's norm {}", report.loss, report.gradient_norm),
                 "lower the learning rate or the clipping, or look at the data; the last checkpoint is good");
  }
  const bool clip = settings_.clip > 0 && report.gradient_norm > settings_.clip;
  update(report.lr, clip ? mean * settings_.clip / report.gradient_norm : mean);
  report.step = optimizer_.steps();
  return report;
}

void LanguageTrainer::synchronize() {
  if (!group_) return;
  const at::NoGradGuard no_grad;
  const at::Tensor steps = at::tensor({optimizer_.steps()}, at::kLong);
  group_->broadcast(steps);
  optimizer_.set_steps(steps.item<std::int64_t>());
  for (const NamedParameter& parameter : optimizer_.parameters()) group_->broadcast(parameter.value.detach());
  for (const auto& moments : {optimizer_.first_moments(), optimizer_.second_moments(), optimizer_.row_steps()}) {
    for (const auto& [name, moment] : moments) group_->broadcast(moment);
  }
}

double LanguageTrainer::evaluate(const LanguageData& data, std::int64_t count) const {
  const at::NoGradGuard no_grad;
  double total = 0.0;
  std::int64_t counted = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto [loss, tokens] = token_loss(data.batch(i));
    total += loss.item<double>();
    counted += tokens;
  }
  return counted > 0 ? total / static_cast<double>(counted) : 0.0;
}

}  // namespace kinglet
