// How deep the values of a pickle are nested.
#pragma once

#include <cstddef>

#include "kinglet/io/pickle.h"

namespace kinglet {

// Whether some way from the root to a value is longer than `most` values, so that a walk in any order stays within the
// limit. Containers may hold themselves through the memo: a way ends where it would enter a value a second time.
bool is_nested_deeper(const PickleValue* root, std::size_t most);

}  // namespace kinglet
