#include "kinglet/methods/star_agents/memory_bank.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinglet/base/rng.h"
#include "kinglet/methods/star_agents/draw.h"
#include "kinglet/methods/star_agents/embedder.h"

namespace kinglet::star_agents {
namespace {

using testing::Contains;
using testing::ElementsAre;

std::vector<float> random_unit(std::size_t dimension, Rng& rng) {
  std::vector<float> vector(dimension);
  double norm = 0;
  for (float& value : vector) {
    value = static_cast<float>(rng.normal());
    norm += value * value;
  }
  for (float& value : vector) value /= static_cast<float>(std::sqrt(norm));
  return vector;
}

std::vector<std::size_t> indices(const std::vector<Neighbour>& neighbours) {
  std::vector<std::size_t> result;
  for (const Neighbour& one : neighbours) result.push_back(one.index);
  return result;
}

TEST(NearestIndex, FindsTheMostSimilarFirst) {
  NearestIndex index(2);
  index.add(std::vector<float>{1, 0});
  index.add(std::vector<float>{0, 1});
  index.add(std::vector<float>{0.6F, 0.8F});
  index.add(std::vector<float>{0, 1});
  EXPECT_THAT(indices(index.search(std::vector<float>{0, 1}, 3)), ElementsAre(1, 3, 2));
  EXPECT_EQ(index.search(std::vector<float>{0, 1}, 99).size(), 4U);
}

TEST(NearestIndex, TheGraphFindsAlmostAllOfThem) {
  constexpr std::size_t kDimension = 24, kCount = 1000, kNeighbours = 10;
  NearestIndex exact(kDimension), graph(kDimension, {.exact_up_to = 100}), again(kDimension, {.exact_up_to = 700});
  Rng rng(5);
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::vector<float> vector = random_unit(kDimension, rng);
    for (NearestIndex* index : {&exact, &graph, &again}) index->add(vector);
  }
  std::size_t found = 0;
  for (int query = 0; query < 100; ++query) {
    const std::vector<float> vector = random_unit(kDimension, rng);
    const auto expected = indices(exact.search(vector, kNeighbours));
    const auto got = indices(graph.search(vector, kNeighbours));
    EXPECT_EQ(got, indices(again.search(vector, kNeighbours)));  // when the graph is built does not matter
    for (const std::size_t one : got) found += std::count(expected.begin(), expected.end(), one);
  }
  EXPECT_GT(found, 950U);
  EXPECT_EQ(graph.search(graph.vector(777), 1).front().index, 777U);
}

TEST(NearestIndex, TheGraphBearsEqualVectors) {
  NearestIndex graph(3, {.exact_up_to = 0, .links = 4});
  for (int i = 0; i < 500; ++i) graph.add(std::vector<float>{1, 0, 0});
  EXPECT_GE(graph.search(std::vector<float>{1, 0, 0}, 10).size(), 5U);
}

TEST(HashedTfIdf, SharedRareWordsMakeTextsSimilar) {
  const std::vector<std::string> texts{"Write a poem about the sea", "Write a poem about the ocean floor",
                                       "Write a function that sorts a list in Python",
                                       "Write a Python function that reverses a list", ""};
  HashedTfIdf embedder(texts);
  const std::vector<float> all = embedder.embed(texts);
  const auto at = [&](std::size_t i) { return std::span(all).subspan(i * embedder.dimension(), embedder.dimension()); };
  EXPECT_NEAR(cosine(at(0), at(0)), 1, 1e-5);
  EXPECT_GT(cosine(at(0), at(1)), cosine(at(0), at(2)) + 0.1);
  EXPECT_GT(cosine(at(2), at(3)), cosine(at(2), at(1)) + 0.1);
  EXPECT_EQ(cosine(at(4), at(4)), 0);
  const std::vector<float> other = embedder.embed(std::vector<std::string>{"WRITE a poem, about the SEA!", "\xff\xfe"});
  EXPECT_NEAR(cosine(at(0), std::span(other).first(embedder.dimension())), 1, 1e-5);
}

TEST(MemoryBank, RemembersGoodWinnersOnly) {
  const MemoryBank bank(2, {});
  EXPECT_TRUE(bank.worth({1, 0.5, 0.5}));
  EXPECT_TRUE(bank.worth({1, 1, 0.1}));
  EXPECT_FALSE(bank.worth({1, 0.5, 0.4}));
}

TEST(MemoryBank, AnEqualInstructionBringsItsPair) {
  MemoryBank bank(8, {.neighbours = 1});
  EXPECT_TRUE(bank.recall(std::vector<float>(8, 0.0F)).empty());
  Rng rng(2);
  const std::vector<double> probabilities(6, 1.0 / 6);
  std::vector<std::vector<float>> seen;
  for (std::size_t i = 0; i < 50; ++i) {
    seen.push_back(random_unit(8, rng));
    bank.remember(seen.back(), i % 6);
  }
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_THAT(draw_pairs(probabilities, bank.recall(seen[i]), {}, {2, 1}, rng), Contains(i % 6));
  }
}

}  // namespace
}  // namespace kinglet::star_agents
