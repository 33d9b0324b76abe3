// A small convolutional classifier for grey images and its training loop: the first model that Kinglet trains.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/optim/adamw.h>

#include "kinglet/vision/idx.h"

namespace kinglet {

// conv 3x3 / 2 (1 -> 16), BatchNorm, ReLU | conv 3x3 / 2 (16 -> 32), BatchNorm, ReLU | dense 256, ReLU | dense.
// images: [batch, 1, height, width] fp32; returns logits [batch, classes].
class ImageClassifierImpl : public torch::nn::Module {
 public:
  ImageClassifierImpl(std::int64_t height, std::int64_t width, std::int64_t classes);
  at::Tensor forward(const at::Tensor& images);

 private:
  torch::nn::Conv2d conv1_, conv2_, dense_, head_;
  torch::nn::BatchNorm2d norm1_, norm2_;
};
TORCH_MODULE(ImageClassifier);

// Images as LibTorch wants them: pixels scaled to mean 0 and variance 1 with the constants of the training part.
struct ImageTensors {
  at::Tensor images;  // [count, 1, height, width] fp32
  at::Tensor labels;  // [count] int64
};
ImageTensors to_tensors(const ImageSet& set, double mean, double deviation);
// Mean and standard deviation of all pixels divided by 255.
std::pair<double, double> pixel_statistics(const ImageSet& set);

struct ClassifierSettings {
  std::int64_t batch_size = 128;
  std::int64_t total_steps = 1200;
  double peak_lr = 1e-3;  // cosine to zero after 50 warm-up steps
  double weight_decay = 0.01;
  std::uint64_t seed = 1;
};

// The learning rate of optimizer step `step` (0-based): linear warm-up, then cosine.
double learning_rate(const ClassifierSettings& settings, std::int64_t step);

// Trains from `first_step` up to settings.total_steps. Batch `s` depends on the seed and s only, so a resumed run sees
// the data that the uninterrupted one saw. `after_step(finished_steps, loss)` runs after each step.
void train_classifier(ImageClassifier& model, torch::optim::AdamW& optimizer, const ImageTensors& data,
                      const ClassifierSettings& settings, std::int64_t first_step,
                      const std::function<void(std::int64_t, double)>& after_step);

// Share of images whose largest logit is the label.
double accuracy(ImageClassifier& model, const ImageTensors& data);

}  // namespace kinglet
