// One AdamW step over a parameter (Loshchilov & Hutter 2019, algorithm 2), in a single pass over its memory.
#pragma once

#include <cstdint>

namespace kinglet {

struct AdamWStep {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;    // the parameter first shrinks by lr * weight_decay
  std::int64_t step = 1;        // counts from 1, for the bias correction
  double gradient_scale = 1.0;  // the gradient is multiplied by it: clipping, averaging
};

// parameter, gradient, first and second moment: [n] fp32. Same order of operations as torch.optim.AdamW. The result
// does not depend on the number of threads.
void adamw_update(const AdamWStep& step, std::int64_t n, float* parameter, const float* gradient, float* first_moment,
                  float* second_moment);

// The same for some rows of a parameter [.., width], with the gradient of these rows alone: a table of which a step
// reads a few rows. Rows are different from each other. `last_step`: [all rows], the step at which a row was last
// updated (0: never), becomes step.step. Weight decay is made up for, (1 - lr * weight_decay)^(steps since then);
// moments are as the last update left them, where a dense step would have let them fade. A row that is there every step
// gets the dense update to the last bit.
void adamw_update_rows(const AdamWStep& step, std::int64_t rows, std::int64_t width, const std::int64_t* row,
                       float* parameter, const float* gradient, float* first_moment, float* second_moment,
                       std::int32_t* last_step);

// Sum of squares of an array, in double; independent of the number of threads.
double sum_of_squares(const float* x, std::int64_t n);

}  // namespace kinglet
