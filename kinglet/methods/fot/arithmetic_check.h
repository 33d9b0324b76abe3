// The rule of dynamic self-correction for free text: every "12 * 3 = 36" and every calculator mark "<<12*3=36>>" is
// evaluated again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kinglet::fot {

struct WrongEquality {
  std::string text;      // "12 * 3 = 35"
  std::string computed;  // "36"
};

// The wrong ones of at most 200 equalities. A decimal result may be rounded or cut: "10 / 3 = 3.33".
std::vector<WrongEquality> wrong_equalities(std::string_view text);

}  // namespace kinglet::fot
