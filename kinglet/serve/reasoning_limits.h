// What clients may ask of a server that answers with forests of reasoning trees.
#pragma once

#include <cstdint>

namespace kinglet {

struct ReasoningLimits {
  std::int64_t forests = 8;   // at once; more are refused with a 429; 0: none, the server does not reason
  std::int64_t trees = 64;    // of a forest
  std::int64_t calls = 2000;  // of a forest: what it may spend at most, whatever the client asks for
};

}  // namespace kinglet
