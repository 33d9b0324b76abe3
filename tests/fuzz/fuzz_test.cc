// The fuzz targets inside the ordinary tests: the committed corpus, and a short series of mutations of it that is the
// same in every run. The long runs are libFuzzer's (docs/fuzzing.md).
#include <algorithm>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/base/rng.h"

namespace kinglet::fuzz {

std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}

namespace {

constexpr int kMutations = 20000;
constexpr std::size_t kLongestSeed = 2048;  // longer ones are run, but not mutated: they take their time

struct Seed {
  std::string name;
  Bytes bytes;
};

std::vector<Seed> corpus_of(std::string_view target) {
  std::vector<Seed> seeds;
  const auto folder = std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/fuzz/corpus" / target;
  if (!std::filesystem::is_directory(folder)) return seeds;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    seeds.push_back({file.path().filename().string(), read_file(file.path())});
  }
  std::sort(seeds.begin(), seeds.end(), [](const Seed& a, const Seed& b) { return a.name < b.name; });
  return seeds;
}

// Small changes of all kinds that break length fields, offsets and tables.
class Mutator {
 public:
  Mutator(const std::vector<Seed>& seeds, std::uint64_t seed) : rng_(seed) {
    for (const Seed& one : seeds) {
      if (one.bytes.size() <= kLongestSeed) seeds_.push_back(&one.bytes);
    }
  }
  bool has_seeds() const { return !seeds_.empty(); }

  Bytes next() {
    Bytes bytes = any_seed();
    for (std::uint64_t changes = 1 + rng_.below(4); changes > 0; --changes) change(bytes);
    return bytes;
  }

 private:
  const Bytes& any_seed() { return *seeds_[rng_.below(seeds_.size())]; }
  std::byte any_byte() { return static_cast<std::byte>(rng_.below(256)); }
  auto at(const Bytes& bytes, std::uint64_t place) { return bytes.begin() + static_cast<std::ptrdiff_t>(place); }

  void change(Bytes& bytes) {
    if (bytes.empty()) return bytes.push_back(any_byte());
    const std::uint64_t place = rng_.below(bytes.size());
    const std::uint64_t length = 1 + rng_.below(std::min<std::uint64_t>(16, bytes.size() - place));
    switch (rng_.below(7)) {
      case 0:
        bytes[place] ^= static_cast<std::byte>(1U << rng_.below(8));
        break;
      case 1:
        bytes[place] = any_byte();
        break;
      case 2:
        bytes.erase(at(bytes, place), at(bytes, place + length));
        break;
      case 3: {
        const Bytes copy(at(bytes, place), at(bytes, place + length));
        bytes.insert(at(bytes, rng_.below(bytes.size())), copy.begin(), copy.end());
        break;
      }
      case 4:
        bytes.resize(place);
        break;
      case 5: {  // a number at the edge of its type
        static constexpr std::uint64_t kEdges[] = {0, 1, 0x7F, 0xFF, 0x7FFF'FFFF, 0xFFFF'FFFF, 1ULL << 62, ~0ULL};
        const std::uint64_t edge = kEdges[rng_.below(std::size(kEdges))];
        std::memcpy(bytes.data() + place, &edge, std::min<std::uint64_t>(length, sizeof(edge)));
        break;
      }
      default: {  // the rest of another seed
        const Bytes& other = any_seed();
        bytes.resize(place);
        bytes.insert(bytes.end(), at(other, std::min<std::uint64_t>(place, other.size())), other.end());
        break;
      }
    }
  }

  Rng rng_;
  std::vector<const Bytes*> seeds_;
};

std::string in_hex(ByteView bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("\\x{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

void expect_kept(const Target& target, ByteView input, const std::string& what) {
  try {
    target.run(input);
  } catch (const std::exception& problem) {
    FAIL() << what << " breaks a promise: " << problem.what() << "\ninput: " << in_hex(input);
  }
}

class FuzzTarget : public testing::TestWithParam<std::string> {
 protected:
  static const Target& target() {
    const auto found =
        std::find_if(targets().begin(), targets().end(), [](const Target& one) { return one.name == GetParam(); });
    if (found == targets().end()) throw std::runtime_error("no fuzz target " + GetParam());
    return *found;
  }
};

TEST_P(FuzzTarget, KeepsItsPromisesOnTheCorpus) {
  const std::vector<Seed> seeds = corpus_of(GetParam());
  ASSERT_GE(seeds.size(), 4U);
  for (const Seed& seed : seeds) ASSERT_NO_FATAL_FAILURE(expect_kept(target(), seed.bytes, seed.name));
  expect_kept(target(), {}, "nothing");
}

TEST_P(FuzzTarget, KeepsItsPromisesOnMutations) {
  const std::vector<Seed> seeds = corpus_of(GetParam());
  Mutator mutator(seeds, 1);
  ASSERT_TRUE(mutator.has_seeds());
  for (int i = 0; i < kMutations; ++i) {
    ASSERT_NO_FATAL_FAILURE(expect_kept(target(), mutator.next(), fmt::format("mutation {}", i)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, FuzzTarget,
                         testing::Values("safetensors", "zip", "pickle", "torch_file", "step_file", "delta_frame",
                                         "rans", "dcp", "gguf", "tokenizer_json", "recipe", "metrics", "decoder_config",
                                         "memoryformer_config", "chat_template", "jsonl", "answers", "sse",
                                         "chat_reply", "reasoning", "seeds", "verdict", "http_request",
                                         "serve_request"),
                         [](const auto& name) { return name.param; });

TEST(FuzzTargets, AreAllInTheList) { EXPECT_EQ(targets().size(), 24U); }

}  // namespace
}  // namespace kinglet::fuzz
