// Texts that end a stream of text: found wherever they stand, also across the pieces in which the stream comes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

class StopStrings {
 public:
  // Raises Error (bad input) for an empty text.
  explicit StopStrings(std::vector<std::string> texts);

  // Returns what may be shown: text that no stop text can begin in any more. Once one is found, what stands before it,
  // and from then on nothing.
  std::string push(std::string_view piece);
  // The end of the stream: what was held back.
  std::string finish();
  bool found() const { return found_; }

 private:
  std::size_t first_possible_begin() const;

  std::vector<std::string> texts_;
  std::string held_;  // shorter than the longest text
  bool found_ = false;
};

}  // namespace kinglet
