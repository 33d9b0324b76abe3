#include "kinglet/train/image_classifier.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include <torch/nn/functional/loss.h>

#include "kinglet/base/interrupt.h"
#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

constexpr std::int64_t kWarmUpSteps = 50;

// Row numbers of batch `step`: without replacement inside an epoch, a new order each epoch.
class BatchOrder {
 public:
  BatchOrder(std::int64_t count, std::int64_t batch_size, std::uint64_t seed)
      : batch_size_(batch_size), per_epoch_(count / batch_size), seed_(seed), order_(static_cast<std::size_t>(count)) {}

  at::Tensor batch(std::int64_t step) {
    if (step / per_epoch_ != epoch_) shuffle(step / per_epoch_);
    auto* begin = order_.data() + step % per_epoch_ * batch_size_;
    return torch::from_blob(begin, {batch_size_}, torch::kInt64);
  }

 private:
  void shuffle(std::int64_t epoch) {
    epoch_ = epoch;
    std::iota(order_.begin(), order_.end(), 0);
    Rng rng(seed_ * 1000003 + static_cast<std::uint64_t>(epoch));
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i)]);
  }

  std::int64_t batch_size_, per_epoch_, epoch_ = -1;
  std::uint64_t seed_;
  std::vector<std::int64_t> order_;
};

torch::nn::Conv2d halving_convolution(std::int64_t in, std::int64_t out) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).stride(2).padding(1).bias(false));
}

std::int64_t quarter(std::int64_t size) { return ((size + 1) / 2 + 1) / 2; }

}  // namespace

// The dense layers are convolutions over the whole image: LibTorch hands those to oneDNN, and matrix products to
// whatever BLAS the system has, which on a plain Debian is the reference one, fifty times slower.
ImageClassifierImpl::ImageClassifierImpl(std::int64_t height, std::int64_t width, std::int64_t classes)
    : conv1_(register_module("conv1", halving_convolution(1, 16))),
      conv2_(register_module("conv2", halving_convolution(16, 32))),
      dense_(register_module("dense",
                             torch::nn::Conv2d(torch::nn::Conv2dOptions(32, 256, {quarter(height), quarter(width)})))),
      head_(register_module("head", torch::nn::Conv2d(torch::nn::Conv2dOptions(256, classes, 1)))),
      norm1_(register_module("norm1", torch::nn::BatchNorm2d(16))),
      norm2_(register_module("norm2", torch::nn::BatchNorm2d(32))) {}

at::Tensor ImageClassifierImpl::forward(const at::Tensor& images) {
  at::Tensor x = torch::relu(norm1_(conv1_(images)));
  x = torch::relu(norm2_(conv2_(x)));
  return head_(torch::relu(dense_(x))).flatten(1);
}

std::pair<double, double> pixel_statistics(const ImageSet& set) {
  double sum = 0, squares = 0;
  for (const std::uint8_t pixel : set.pixels) {
    const double value = pixel / 255.0;
    sum += value;
    squares += value * value;
  }
  const double n = std::max<double>(1, static_cast<double>(set.pixels.size()));
  const double mean = sum / n;
  return {mean, std::sqrt(std::max(1e-12, squares / n - mean * mean))};
}

ImageTensors to_tensors(const ImageSet& set, double mean, double deviation) {
  // from_blob needs a mutable pointer; the data is only read and then copied by the conversion.
  auto* pixels = const_cast<std::uint8_t*>(set.pixels.data());
  auto* labels = const_cast<std::uint8_t*>(set.labels.data());
  const at::Tensor images = torch::from_blob(pixels, {set.count, 1, set.height, set.width}, torch::kUInt8);
  return {(images.to(torch::kFloat32) / 255.0 - mean) / deviation,
          torch::from_blob(labels, {set.count}, torch::kUInt8).to(torch::kInt64)};
}

double learning_rate(const ClassifierSettings& settings, std::int64_t step) {
  if (step < kWarmUpSteps) return settings.peak_lr * static_cast<double>(step + 1) / kWarmUpSteps;
  const double done = static_cast<double>(step - kWarmUpSteps) /
                      static_cast<double>(std::max<std::int64_t>(1, settings.total_steps - kWarmUpSteps));
  return settings.peak_lr * 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, done)));
}

void train_classifier(ImageClassifier& model, torch::optim::AdamW& optimizer, const ImageTensors& data,
                      const ClassifierSettings& settings, std::int64_t first_step,
                      const std::function<void(std::int64_t, double)>& after_step) {
  BatchOrder order(data.labels.size(0), settings.batch_size, settings.seed);
  model->train();
  for (std::int64_t step = first_step; step < settings.total_steps; ++step) {
    check_interrupt();
    const at::Tensor rows = order.batch(step);
    auto& options = static_cast<torch::optim::AdamWOptions&>(optimizer.param_groups().at(0).options());
    options.lr(learning_rate(settings, step));
    optimizer.zero_grad();
    const at::Tensor loss = torch::nn::functional::cross_entropy(model->forward(data.images.index_select(0, rows)),
                                                                 data.labels.index_select(0, rows));
    loss.backward();
    optimizer.step();
    after_step(step + 1, loss.item<double>());
  }
}

double accuracy(ImageClassifier& model, const ImageTensors& data) {
  const torch::NoGradGuard no_grad;
  model->eval();
  std::int64_t correct = 0;
  constexpr std::int64_t kBatch = 500;
  const std::int64_t count = data.labels.size(0);
  for (std::int64_t begin = 0; begin < count; begin += kBatch) {
    const std::int64_t end = std::min(count, begin + kBatch);
    const at::Tensor chosen = model->forward(data.images.slice(0, begin, end)).argmax(1);
    correct += chosen.eq(data.labels.slice(0, begin, end)).sum().item<std::int64_t>();
  }
  return static_cast<double>(correct) / static_cast<double>(std::max<std::int64_t>(1, count));
}

}  // namespace kinglet
