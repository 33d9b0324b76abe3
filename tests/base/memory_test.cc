#include "kinglet/base/memory.h"

#include <gtest/gtest.h>

namespace kinglet {
namespace {

TEST(Memory, FieldsOfTheKernelsFiles) {
  constexpr const char* kText = "MemTotal:       24 kB\nSwapMemFree: 9 kB\nMemFree:        7 kB\n";
  EXPECT_EQ(memory_field(kText, "MemTotal:"), 24U * 1024);
  EXPECT_EQ(memory_field(kText, "MemFree:"), 7U * 1024);
  EXPECT_EQ(memory_field(kText, "MemAvailable:"), 0U);
  EXPECT_EQ(memory_field("anon 5\nfile 4096\nfile_mapped 1\n", "file "), 4096U);
  EXPECT_EQ(memory_field("file", "file"), 0U);
}

TEST(Memory, SomeOfTheMachineIsFree) {
  EXPECT_GT(available_memory(), 1U << 20);
  EXPECT_LE(available_memory(), machine_memory());
}

}  // namespace
}  // namespace kinglet
