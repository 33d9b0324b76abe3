#include "kinglet/base/mapped_pages.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using testing_support::TemporaryFolder;

TEST(MappedPages, WhatWasBroughtInIsResident) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", as_bytes(std::string(100'000, 'x')));
  const MappedFile file(folder / "a");
  bring_in(file.bytes());
  EXPECT_EQ(resident_fraction(file.bytes()), 1.0);
  EXPECT_EQ(resident_fraction(file.bytes().subspan(5000, 1)), 1.0);
  EXPECT_EQ(resident_fraction({}), 1.0);
}

TEST(MappedPages, AdviceChangesNoByte) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", as_bytes(std::string(20'000, 'x')));
  const MappedFile file(folder / "a");
  advise_random(file.bytes().subspan(4097, 9000));
  advise_random({});
  bring_in({});
  EXPECT_EQ(as_text(file.bytes()), std::string(20'000, 'x'));
}

}  // namespace
}  // namespace kinglet
