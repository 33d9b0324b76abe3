// The seeds of our own formats are what the readers take today: a target that is fed an old layout tests nothing.
// A seed that fails here is made anew by build-fuzz/tests/fuzz/make_fuzz_seeds tests/fuzz/corpus.
#include <filesystem>

#include <gtest/gtest.h>

#include "tests/fuzz/step_container.h"

#include "kinglet/base/byte_io.h"
#include "kinglet/methods/excp/step_decoder.h"

namespace kinglet::fuzz {
namespace {

const std::filesystem::path kSeeds = std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/fuzz/corpus/step_file";

TEST(StepSeeds, AreReadAsTheyStand) {
  for (const char* name : {"key", "delta", "paper", "other"}) {
    const std::string container = std::string(name) + "-container";
    const Bytes seed = read_file(kSeeds / container);  // behind the byte that says which kind of input it is
    EXPECT_FALSE(excp::StepFile(ByteView(seed).subspan(1), container).index().files.empty()) << container;
  }
}

TEST(StepSeeds, AreReadFromTheirParts) {
  for (const char* name : {"key", "delta", "paper", "other"}) {
    const Bytes seed = read_file(kSeeds / name);
    ByteReader reader(ByteView(seed).subspan(1), name);
    const ByteView payload = reader.take(reader.number<std::uint16_t>());
    excp::StepIndex index = excp::parse_index(reader.take(reader.remaining()), kContainerHeader + payload.size(), name);
    seal(index, payload);
    const Bytes container = make_container(index, payload);
    EXPECT_EQ(excp::StepFile(container, name).content(), excp::content_hash(index)) << name;
  }
}

}  // namespace
}  // namespace kinglet::fuzz
