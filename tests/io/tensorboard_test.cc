// Event files against the records of TensorBoard's own writer.
#include "kinglet/io/tensorboard.h"

#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/golden_files.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using testing_support::golden_json;
using testing_support::slurp;
using testing_support::TemporaryFolder;

std::string hex(const Bytes& bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

TEST(Tensorboard, RecordsEqualTheReference) {
  const auto expected = golden_json("tensorboard.json");
  EXPECT_EQ(hex(tensorboard_version_record(1764000000.5)), expected["version"].get<std::string>());
  EXPECT_EQ(hex(tensorboard_restart_record(301, 1764000000.5)), expected["restart"].get<std::string>());
  const NamedNumbers values = {{"loss", 3.1875}, {"lr", 3e-4}, {"größe", std::numeric_limits<double>::infinity()}};
  EXPECT_EQ(hex(tensorboard_scalar_record(300, values, 1764000001.25)), expected["scalars"].get<std::string>());
}

TEST(Tensorboard, FilesHoldTheirRecords) {
  const TemporaryFolder folder;
  TensorboardWriter first(folder / "board");
  first.write(1, {{"loss", 2}}, 5);
  const std::string content = slurp(first.path());
  const std::string record(as_text(tensorboard_scalar_record(1, {{"loss", 2}}, 5)));
  EXPECT_EQ(content.size(), tensorboard_version_record(0).size() + record.size());
  EXPECT_TRUE(content.ends_with(record));
  const TensorboardWriter second(folder / "board", 1);
  EXPECT_NE(first.path(), second.path());
  EXPECT_LT(first.path(), second.path());
  EXPECT_EQ(slurp(second.path()).size(),
            tensorboard_version_record(0).size() + tensorboard_restart_record(2, 0).size());
}

}  // namespace
}  // namespace kinglet
