// One fuzz target a file. A target is a function that takes any bytes, lets no exception out but std::logic_error, and
// throws that one when a promise is broken.
//
//   void check_zip(ByteView input) { ... }
//   KINGLET_FUZZ_TARGET(zip, check_zip)
//
// With KINGLET_LIBFUZZER the file becomes a libFuzzer program of its own; without, it registers its function with
// fuzz_test.cc, which runs the corpus and a short series of mutations in the ordinary tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"

namespace kinglet::fuzz {

// A promise of the code under test.
inline void require(bool holds, const char* promise) {
  if (!holds) throw std::logic_error(promise);
}

// Runs `body`. Whether it returned: Error is the one way in which a reader may refuse its input.
template <typename Body>
bool accepted(const Body& body) {
  try {
    body();
    return true;
  } catch (const Error& error) {
    const std::string_view message = error.what();
    require(!message.empty() && message.find('\n') == std::string_view::npos, "an error message is one line");
    return false;
  }
}

struct Target {
  std::string_view name;
  void (*run)(ByteView input);
};
std::vector<Target>& targets();  // fuzz_test.cc

}  // namespace kinglet::fuzz

#ifdef KINGLET_LIBFUZZER
#define KINGLET_FUZZ_TARGET(name, function)                                           \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);  \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    function(std::as_bytes(std::span(data, size)));                                   \
    return 0;                                                                         \
  }
#else
#define KINGLET_FUZZ_TARGET(name, function)                   \
  [[maybe_unused]] static const bool registered_##name = [] { \
    kinglet::fuzz::targets().push_back({#name, function});    \
    return true;                                              \
  }();
#endif
