// What a watcher is told adds up to the trees of the result.
#include "kinglet/methods/fot/forest_watch.h"

#include <map>

#include <gtest/gtest.h>

#include "kinglet/methods/fot/simulated_model.h"
#include "kinglet/methods/fot/trace.h"

namespace kinglet::fot {
namespace {

// Trees as a page would know them from the events alone.
struct Drawn {
  std::map<int, std::vector<Json>> thoughts;
  std::map<int, Json> ends;
  Json votes, end;
  int events = 0;

  void take(const std::vector<Json>& news) {
    for (Json event : news) {
      ++events;
      EXPECT_TRUE(end.is_null()) << "news behind the end";
      const std::string kind = event["event"];
      const int tree = event.value("tree", -1);
      if (kind == "tree") {
        EXPECT_TRUE(thoughts.try_emplace(tree).second);
      } else if (kind == "thought") {
        ASSERT_TRUE(thoughts.count(tree));
        EXPECT_FALSE(ends.count(tree));
        const auto number = event["thought"].get<std::size_t>();
        ASSERT_LE(number, thoughts[tree].size());  // none is skipped
        for (const char* field : {"event", "tree", "thought"}) event.erase(field);
        if (number == thoughts[tree].size())
          thoughts[tree].push_back(event);
        else
          thoughts[tree][number] = event;
      } else if (kind == "tree_end") {
        EXPECT_TRUE(ends.emplace(tree, event).second);
      } else if (kind == "votes") {
        votes = event;
      } else {
        EXPECT_EQ(kind, "end");
        end = event;
      }
    }
  }
};

struct WatchCase {
  Task task;
  Base base;
  const char* question;
  int trees, width;
};

void expect_the_result_is_drawn(const WatchCase& one) {
  ForestSettings settings;
  settings.base = one.base;
  settings.trees = one.trees;
  settings.width = one.width;
  settings.tau = 0.9;  // so that there are corrections
  SimulatedModel model;
  model.teach(one.task, one.question, "42");
  const ExampleBase examples;
  Forest forest({"q", one.question}, one.task, settings, examples);
  ForestWatch watch(forest);
  Drawn drawn;
  drawn.take(watch.news());
  int news_before_a_tree_ended = 0;
  std::vector<ForestCall> open;
  for (int guard = 0; !forest.ended() && guard < 10'000; ++guard) {
    for (ForestCall& call : forest.take_calls()) open.push_back(std::move(call));
    ASSERT_FALSE(open.empty());
    const ForestCall call = std::move(open.back());  // the newest first: trees do not end in order
    open.pop_back();
    forest.deliver(call.number, model(call.request));
    drawn.take(watch.news());
    if (drawn.ends.empty()) news_before_a_tree_ended = drawn.events;
  }
  ASSERT_TRUE(forest.ended());
  EXPECT_TRUE(watch.news().empty());
  const ForestResult& result = forest.result();
  const Json expected = result_to_json(result, TraceDetail::kFull);
  for (std::size_t tree = 0; tree < result.trees.size(); ++tree) {
    const auto number = static_cast<int>(tree);
    EXPECT_EQ(Json(drawn.thoughts[number]), expected["trees"][tree]["nodes"]);
    EXPECT_EQ(drawn.ends[number]["label"], expected["trees"][tree]["label"]);
  }
  EXPECT_EQ(drawn.ends.size(), static_cast<std::size_t>(forest.trees_started()));
  EXPECT_EQ(drawn.votes["votes"], expected["votes"]);
  EXPECT_EQ(drawn.end["label"], expected["label"]);
  EXPECT_EQ(drawn.end["calls"], expected["cost"]["calls"]);
  // It grows before it is done.
  EXPECT_GT(news_before_a_tree_ended, one.base == Base::kCot ? 0 : 3);
}

TEST(ForestWatch, TellsEveryThoughtOfEveryBase) {
  expect_the_result_is_drawn({Task::kGsm8k, Base::kCot, "How many are 40 and 2?", 5, 5});
  expect_the_result_is_drawn({Task::kGsm8k, Base::kMctsr, "How many are 40 and 2?", 3, 3});
  expect_the_result_is_drawn({Task::kGsm8k, Base::kTotBfs, "How many are 40 and 2?", 2, 2});
  expect_the_result_is_drawn({Task::kGame24, Base::kTotBfs, "4 9 10 13", 4, 4});
}

}  // namespace
}  // namespace kinglet::fot
