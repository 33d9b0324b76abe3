// The curves of a run as one SVG: training and evaluation loss above, the learning rate below.
#pragma once

#include <string>
#include <vector>

#include "kinglet/io/metrics.h"

namespace kinglet {

struct LossCurveNames {
  std::string loss = "loss";
  std::string evaluation_loss = "eval_loss";
  std::string learning_rate = "lr";
};

// Long series of the training loss are smoothed (exponential mean over a fiftieth of their points, bias removed);
// what is missing in the lines is left out. `title` stands on top.
std::string loss_curve_svg(const std::vector<MetricsLine>& lines, const std::string& title,
                           const LossCurveNames& names = {});

// Exponential mean with the weight 2 / (window + 1) for the newest value, divided by the sum of the weights. Values
// that are not finite stay out of the mean and appear as NaN.
std::vector<double> smoothed(const std::vector<double>& values, double window);

}  // namespace kinglet
