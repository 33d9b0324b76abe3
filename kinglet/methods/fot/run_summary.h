// What a run came to, arm by arm: accuracy and coverage apart, and what they cost.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kinglet/text/json_text.h"

namespace kinglet::fot {

struct ArmSummary {
  std::string arm;
  int questions = 0;
  int graded = 0;                      // with a known answer
  int right = 0;                       // the answer that was given is right
  int covered = 0;                     // at least one tree had the right answer
  int answered = 0;                    // an answer was given
  double trees = 0, active_trees = 0;  // means of a question from here on
  double calls = 0, prompt_tokens = 0, completion_tokens = 0;
  double late_tokens = 0;  // completion tokens of trees that were stopped
  double corrections = 0, experts = 0;

  double accuracy() const { return graded > 0 ? static_cast<double>(right) / graded : 0; }
};

// The interval of Wilson that holds a share with 95 %.
std::pair<double, double> wilson_interval(int right, int total);

// The two-sided exact test of McNemar: `first_only` questions only the first arm got right, `second_only` the second.
double mcnemar_p(int first_only, int second_only);

struct ArmComparison {
  std::string first, second;
  int first_only = 0, second_only = 0;
  double p = 1;
};

// In the order in which arms appear. Raises Error (bad input) for records that no run writes.
std::vector<ArmSummary> summarize(const std::vector<Json>& records);
// Each later arm against the first one, over the questions that both have.
std::vector<ArmComparison> compare_arms(const std::vector<Json>& records);

}  // namespace kinglet::fot
