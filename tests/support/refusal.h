// What a call says when it refuses bad input.
#pragma once

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "kinglet/base/error.h"

namespace kinglet::testing_support {

// The message of the Error (bad input) that `call` raises; the test fails when it raises another one or none.
template <typename Call>
std::string refusal(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

}  // namespace kinglet::testing_support
