#include "kinglet/methods/excp/official.h"

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/folders.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"

namespace kinglet::excp {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace testing_support;

const fs::path kGolden = fs::path(KINGLET_SOURCE_DIR) / "tests" / "golden";
const fs::path kReference = kGolden / "io" / "checkpoints" / "trainer" / "checkpoint-2";
const fs::path kCompressed = kGolden / "excp" / "official" / "compressed.pt";

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    return error.what();
  }
  return "(no error)";
}

// Written by Python, see tests/golden/excp/make_official_golden.py.
TEST(Official, RebuildsWhatThePublishedReaderRebuilds) {
  const TemporaryFolder folder;
  const OfficialReport report = import_official(kCompressed, Checkpoint::open(kReference), folder / "out");
  const auto expected = nlohmann::json::parse(std::ifstream(kGolden / "excp" / "official" / "expected.json"));
  const Checkpoint result = Checkpoint::open(folder / "out");
  ASSERT_EQ(result.parameters().size(), expected.size());
  EXPECT_EQ(report.parameters, static_cast<std::int64_t>(expected.size()));
  EXPECT_TRUE(report.kept_from_reference.empty());
  for (const Parameter& parameter : result.parameters()) {
    const auto& crcs = expected.at(parameter.name);
    EXPECT_EQ(crc32(result.bytes(parameter.weight)), crcs[0]) << parameter.name;
    EXPECT_EQ(crc32(result.bytes(*parameter.first_moment)), crcs[1]) << parameter.name;
    EXPECT_EQ(crc32(result.bytes(*parameter.second_moment)), crcs[2]) << parameter.name;
  }
  EXPECT_THAT(different_files(kReference, folder / "out"), ElementsAre("model.safetensors", "optimizer.pt"));
}

// A file with one tensor `name` whose three parts are alike.
void write_hand_made(const fs::path& path, const std::string& name, const std::vector<std::uint8_t>& packed,
                     std::size_t centres) {
  std::vector<std::uint16_t> halves;
  for (std::size_t i = 0; i < centres; ++i) halves.push_back(float_to_half(static_cast<float>(i + 1)));
  TorchFileWriter writer;
  PickleBuilder& b = writer.builder;
  std::vector<std::pair<PickleValue*, PickleValue*>> parts;
  const auto n = static_cast<std::int64_t>(packed.size());
  for (const char* part : {"weights", "opt_v", "opt_m"}) {
    const std::string prefix = part;
    parts.emplace_back(b.string(prefix + "_i"),
                       writer.add_tensor(DType::kU8, {1, n}, std::as_bytes(std::span(packed))));
    parts.emplace_back(b.string(prefix + "_c"), writer.add_tensor(DType::kF16, {static_cast<std::int64_t>(centres), 1},
                                                                  std::as_bytes(std::span(halves))));
  }
  PickleValue* root = b.dict({{b.string(name), b.dict(parts)}});
  std::move(writer).write(path, root);
}

TEST(Official, FirstElementIsInTheHighestBits) {
  const TemporaryFolder folder;
  write_hand_made(folder / "four.pt", "w", {0x12, 0xf0}, 15);  // the packing of [1, 2, 15, 0]
  EXPECT_THAT(OfficialFile(folder / "four.pt").decode("w", OfficialFile::kResidual, 4), ElementsAre(1, 2, 15, 0));
  EXPECT_THAT(OfficialFile(folder / "four.pt").decode("w", OfficialFile::kSecondMoment, 3), ElementsAre(1, 2, 15));
  write_hand_made(folder / "two.pt", "w", {0x6c}, 3);  // [1, 2, 3, 0]
  EXPECT_THAT(OfficialFile(folder / "two.pt").decode("w", OfficialFile::kFirstMoment, 4), ElementsAre(1, 2, 3, 0));
  write_hand_made(folder / "one.pt", "w", {0xa0}, 1);
  EXPECT_THAT(OfficialFile(folder / "one.pt").decode("w", OfficialFile::kFirstMoment, 4), ElementsAre(1, 0, 1, 0));
  write_hand_made(folder / "eight.pt", "w", {0, 255}, 255);
  EXPECT_THAT(OfficialFile(folder / "eight.pt").decode("w", OfficialFile::kFirstMoment, 2), ElementsAre(0, 255));
}

TEST(Official, RefusesWhatItCannotUnderstand) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of([&] { OfficialFile(kReference / "scheduler.pt"); }), HasSubstr("scheduler.pt"));
  EXPECT_THAT(message_of([&] { OfficialFile(kReference / "optimizer.pt"); }), HasSubstr("weights_i is missing"));
  write_hand_made(folder / "seven.pt", "w", {0x12}, 7);
  EXPECT_THAT(message_of([&] { OfficialFile(folder / "seven.pt"); }), HasSubstr("'w': weights_c"));
  EXPECT_THAT(message_of([&] { OfficialFile(folder / "none.pt"); }), HasSubstr("none.pt"));
}

TEST(Official, RefusesAnotherModelsReferenceAndLeavesNothing) {
  const TemporaryFolder folder;
  const Checkpoint reference = Checkpoint::open(kReference);
  write_hand_made(folder / "other.pt", "no.such.weight", {0x12, 0xf0}, 15);
  EXPECT_THAT(message_of([&] { import_official(folder / "other.pt", reference, folder / "out"); }),
              HasSubstr("'no.such.weight' is not in the reference"));
  write_hand_made(folder / "short.pt", reference.parameters()[0].name, {0x12, 0xf0}, 15);
  EXPECT_THAT(message_of([&] { import_official(folder / "short.pt", reference, folder / "out"); }),
              HasSubstr("elements where the reference has"));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST(Official, SaysWhichTensorsAreTheReferencesAndWhichSecondMomentsAreLost) {
  const TemporaryFolder folder;
  const Checkpoint reference = Checkpoint::open(kReference);
  const Parameter& parameter = reference.parameters()[0];
  std::size_t n = 1;
  for (const std::int64_t size : parameter.shape) n *= static_cast<std::size_t>(size);
  write_hand_made(folder / "one.pt", parameter.name, std::vector<std::uint8_t>(n / 2, 0x11), 15);
  const OfficialReport report = import_official(folder / "one.pt", reference, folder / "out");
  EXPECT_EQ(report.parameters, 1);
  EXPECT_EQ(report.lost_second_moments, 0U);
  EXPECT_EQ(report.kept_from_reference.size(), reference.parameters().size() - 1);
  // fp16 centres of the golden file: its second moments are large enough to survive, so none are lost.
  EXPECT_EQ(import_official(kCompressed, reference, folder / "golden").lost_second_moments, 0U);
}

}  // namespace
}  // namespace kinglet::excp
