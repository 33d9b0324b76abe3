// The small rules of the search: votes and stops, refinement trees, confidence, retrieval, activation.
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"
#include "kinglet/methods/fot/activation.h"
#include "kinglet/methods/fot/confidence.h"
#include "kinglet/methods/fot/refinement_tree.h"
#include "kinglet/methods/fot/retrieval.h"
#include "kinglet/methods/fot/vote.h"

namespace kinglet::fot {
namespace {

constexpr StopPolicy kNone{StopRule::kNone}, kStrict{StopRule::kStrict}, kLead{StopRule::kLead};

// How many trees run when they end in this order; '-' abstains.
int trees_run(std::string_view labels, int planned, const StopPolicy& policy, Tally* tally_out = nullptr) {
  Tally tally;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    tally.add(static_cast<int>(i), labels[i] == '-' ? std::nullopt : std::optional(std::string(1, labels[i])));
    if (is_decided(tally, planned, policy)) break;
  }
  if (tally_out != nullptr) *tally_out = tally;
  return tally.trees();
}

TEST(Vote, StopsWhenDecided) {
  EXPECT_EQ(trees_run("AAB", 3, kStrict), 2);
  EXPECT_EQ(trees_run("ABAAX", 5, kStrict), 4);
  EXPECT_EQ(trees_run("ABAAX", 5, kLead), 4);
  EXPECT_EQ(trees_run("AAAAAXXX", 8, kStrict), 5);
  EXPECT_EQ(trees_run("AAAAAXXX", 8, kLead), 5);
  EXPECT_EQ(trees_run("AAAAA", 5, kNone), 5);
  EXPECT_EQ(trees_run("A-A-AA", 6, kStrict), 6);
  EXPECT_EQ(trees_run("A-A-AA", 6, kLead), 5);
}

TEST(Vote, BetaRule) {
  EXPECT_NEAR(majority_probability(3, 0), .9375, 1e-12);
  EXPECT_NEAR(majority_probability(4, 0), .96875, 1e-12);
  EXPECT_NEAR(majority_probability(5, 1), .9375, 1e-12);
  EXPECT_EQ(trees_run("AAAAAAAA", 8, parse_stop_policy("beta:0.95")), 4);
  EXPECT_EQ(trees_run("AAAAAAAA", 8, parse_stop_policy("beta:0.9")), 3);
}

TEST(Vote, ReadsPolicies) {
  for (const char* text : {"none", "strict", "lead", "beta:0.95", "beta:0.9"}) {
    EXPECT_EQ(to_text(parse_stop_policy(text)), text);
  }
  for (const char* wrong : {"", "maybe", "beta:", "beta:2", "lead:0.9", "beta:0.9x", "beta:0.4"}) {
    EXPECT_THROW(parse_stop_policy(wrong), Error) << wrong;
  }
}

TEST(Vote, LosslessRulesKeepTheWinner) {
  Rng rng(7);
  for (int round = 0; round < 20000; ++round) {
    const int planned = 1 + static_cast<int>(rng.below(9));
    std::string labels;
    for (int i = 0; i < planned; ++i) labels += "ABC-"[rng.below(4)];
    Tally full, strict, lead;
    trees_run(labels, planned, kNone, &full);
    trees_run(labels, planned, kStrict, &strict);
    trees_run(labels, planned, kLead, &lead);
    EXPECT_LE(lead.trees(), strict.trees()) << labels;
    if (!full.leader_is_unique()) continue;
    EXPECT_EQ(strict.leader(), full.leader()) << labels;
    EXPECT_EQ(lead.leader(), full.leader()) << labels;
  }
}

TEST(Vote, NeverStartsATreeThatCouldBeNeedless) {
  Tally tally;
  EXPECT_EQ(trees_needed(tally, 8, kStrict), 5);
  EXPECT_EQ(trees_needed(tally, 8, kLead), 5);
  EXPECT_EQ(trees_needed(tally, 8, kNone), 8);
  EXPECT_EQ(trees_needed(tally, 8, parse_stop_policy("beta:0.95")), 4);
  tally.add(0, "A");
  tally.add(1, "B");
  EXPECT_EQ(trees_needed(tally, 8, kStrict), 4);
  tally.add(2, std::nullopt);
  EXPECT_EQ(tally.votes(), 2);
  EXPECT_EQ(trees_needed(tally, 3, kLead), 0);
}

// Trees are right with 0.6, agree on one wrong answer with 0.25, and else are wrong each in their own way; the expert
// finds the right answer among the candidates with 0.85. Every outcome is weighed.
struct VotingModel {
  double first = 0, expert = 0, coverage = 0, strict_trees = 0, lead_trees = 0;
};

VotingModel voting_model(int planned, double right = 0.6, double attractor = 0.25) {
  VotingModel model;
  std::string labels;
  const std::function<void(double)> visit = [&](double weight) {
    if (labels.size() < static_cast<std::size_t>(planned)) {
      for (const auto& [label, chance] : {std::pair('R', right), std::pair('W', attractor),
                                          std::pair(static_cast<char>('a' + labels.size()), 1 - right - attractor)}) {
        if (chance <= 0) continue;
        labels.push_back(label);
        visit(weight * chance);
        labels.pop_back();
      }
      return;
    }
    Tally full;
    trees_run(labels, planned, kNone, &full);
    const bool covered = labels.find('R') != std::string::npos;
    const bool won = full.leader() == "R";
    model.first += weight * won;
    model.expert += weight * (full.leader_is_unique() ? won : 0.85 * covered);
    model.coverage += weight * covered;
    model.strict_trees += weight * trees_run(labels, planned, kStrict);
    model.lead_trees += weight * trees_run(labels, planned, kLead);
  };
  visit(1);
  return model;
}

TEST(Vote, VotingModel) {
  struct Row {
    int planned;
    double first, expert, coverage, strict, lead;
  };
  for (const Row& row : {Row{2, .6000, .7680, .8400, 2, 2}, Row{3, .7065, .7972, .9360, 2.5775, 2.5775},
                         Row{4, .7654, .8419, .9744, 3.7684, 3.7684}, Row{5, .8084, .8514, .9898, 4.2424, 4.2424},
                         Row{8, .8676, .8967, .9993, 7.2506, 6.7675}}) {
    const VotingModel model = voting_model(row.planned);
    EXPECT_NEAR(model.first, row.first, 5e-5) << row.planned;
    EXPECT_NEAR(model.expert, row.expert, 5e-5) << row.planned;
    EXPECT_NEAR(model.coverage, row.coverage, 5e-5) << row.planned;
    EXPECT_NEAR(model.strict_trees, row.strict, 5e-5) << row.planned;
    EXPECT_NEAR(model.lead_trees, row.lead, 5e-5) << row.planned;
  }
  const VotingModel distinct = voting_model(5, 0.8, 0);
  EXPECT_NEAR(distinct.first, .9946, 5e-5);
  EXPECT_NEAR(distinct.strict_trees, 3.6688, 5e-5);
}

TEST(RefinementTree, Qualities) {
  RefinementTree tree;
  const int father = tree.add(-1);
  tree.reward(father, 70);
  tree.update();
  EXPECT_EQ(tree.node(father).quality, 70);
  tree.reward(father, 50);
  tree.update();
  EXPECT_EQ(tree.node(father).quality, 55);
  EXPECT_EQ(tree.node(father).bound, 55);
  const int child = tree.add(father);
  tree.reward(child, 80);
  tree.update();
  EXPECT_NEAR(tree.node(child).bound, 81.467399, 1e-6);
  EXPECT_EQ(tree.node(father).value, 67.5);
  EXPECT_EQ(tree.node(father).bound, 67.5);
  EXPECT_NEAR(tree.final_score(father), 39.1, 1e-9);
  EXPECT_NEAR(tree.final_score(child), 56.593480, 1e-6);
  EXPECT_EQ(tree.best(), child);
  EXPECT_EQ(tree.select(), child);
}

TEST(RefinementTree, LeavesMatureNodesAlone) {
  RefinementTree tree;
  const int father = tree.add(-1);
  tree.reward(father, 50);
  for (int i = 0; i < 3; ++i) tree.reward(tree.add(father), 40);
  tree.update();
  EXPECT_TRUE(tree.explorable(father));
  tree.reward(tree.add(father), 60);
  tree.update();
  EXPECT_FALSE(tree.explorable(father));
}

// Deep trees: a good leaf lifts all nodes above it, not only its father.
TEST(RefinementTree, ValuesReachTheRoot) {
  RefinementTree tree;
  int node = -1;
  for (int depth = 0; depth < 4; ++depth) {
    node = tree.add(node);
    tree.reward(node, depth == 3 ? 100 : 20);
  }
  tree.update();
  EXPECT_EQ(tree.node(2).value, 60);
  EXPECT_EQ(tree.node(1).value, 40);
  EXPECT_EQ(tree.node(0).value, 30);
}

TEST(Confidence, OfGeneratedTokens) {
  const auto confidence = confidence_of(std::vector{-0.1, -0.3, -0.2}).value();
  EXPECT_NEAR(confidence.mean_log_prob, -0.2, 1e-12);
  EXPECT_NEAR(confidence.value, 0.818731, 1e-6);
  EXPECT_NEAR(log_threshold(0.5), -0.693147, 1e-6);
  EXPECT_FALSE(confidence_of({}));
  const auto odd = confidence_of(std::vector<double>{-0.2, std::nan(""), -INFINITY, 3.0}).value();
  EXPECT_EQ(odd.ignored, 2);
  EXPECT_NEAR(odd.mean_log_prob, -0.1, 1e-12);
}

TEST(Retrieval, LikeScikitLearn) {
  const TfIdf index({"the cat sat on the mat", "a dog ate the cat food", "prime numbers and sums"});
  EXPECT_NEAR(index.idf("cat"), 1.287682, 1e-6);
  EXPECT_NEAR(index.idf("the"), 1.287682, 1e-6);
  EXPECT_NEAR(index.idf("prime"), 1.693147, 1e-6);
  const auto cosines = index.cosines("the cat and the dog");
  EXPECT_NEAR(cosines[0], 0.538671, 1e-6);
  EXPECT_NEAR(cosines[1], 0.606549, 1e-6);
  EXPECT_NEAR(cosines[2], 0.226062, 1e-6);
  EXPECT_EQ(index.nearest("the cat and the dog"), (std::vector<std::size_t>{1, 0, 2}));
  EXPECT_EQ(index.nearest("zebra"), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(words_of("A b-cd E_f, 12x"), (std::vector<std::string>{"cd", "e_f", "12x"}));
}

TEST(Activation, KeepsTheBestValidNodes) {
  const std::vector<ScoredNode> nodes = {{0, 1}, {1, 20}, {2, 1}, {3, 99, false}, {4, 0.001}, {5, std::nan("")}};
  EXPECT_EQ(active_nodes(nodes, 3), (std::vector<std::size_t>{1, 0, 2}));
  EXPECT_EQ(active_nodes(nodes, 5), (std::vector<std::size_t>{1, 0, 2, 4}));
  EXPECT_EQ(active_nodes(nodes, 5, 0.01), (std::vector<std::size_t>{1, 0, 2}));
  EXPECT_TRUE(active_nodes({{0, 5, false}}, 3).empty());
}

}  // namespace
}  // namespace kinglet::fot
