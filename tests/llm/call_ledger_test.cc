// What every ledger must do, whatever it is kept in.
#include "kinglet/llm/call_ledger.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/llm/mock_endpoint.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/llm/postgres_ledger.h"
#include "kinglet/llm/sqlite_ledger.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::asking;
using testing_support::MockEndpoint;
using testing_support::numbered_requests;
using testing_support::PostgresCluster;
using testing_support::TemporaryFolder;

class CallLedgers : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() != "postgres") return;
    std::string reason;
    cluster_ = PostgresCluster::shared(reason);
    if (cluster_ == nullptr) GTEST_SKIP() << reason;
  }
  // The one of this test, by another process so to speak.
  std::unique_ptr<CallLedger> open() const {
    if (cluster_ == nullptr) return std::make_unique<SqliteLedger>(folder_ / "ledger.db");
    std::string job = testing::UnitTest::GetInstance()->current_test_info()->name();
    return std::make_unique<PostgresLedger>(cluster_->url(), job.substr(0, job.find('/')));
  }

 private:
  TemporaryFolder folder_;
  const PostgresCluster* cluster_ = nullptr;
};

TEST_P(CallLedgers, RemembersTheLifeOfACall) {
  std::string body(100'000, 'b');
  body += std::string("\0\xff\\x41'", 7);  // as it came
  {
    const auto ledger = open();
    EXPECT_FALSE(ledger->find("k"));
    ledger->sent("k", "slot", "judge", 1, 50);
    ledger->attempt_ended("k", 1, "in doubt", true);
    ledger->sent("k", "slot", "judge", 2, 50);
    ledger->answered("k", 2, 200, body);
    ledger->sent("lost", "slot 2", "judge", 1, 50);
    ledger->commit();
    ledger->sent("never", "slot 3", "judge", 1, 50);  // not committed
  }
  const auto ledger = open();
  const auto entry = ledger->find("k");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->state, LedgerEntry::State::kAnswered);
  EXPECT_EQ(entry->attempts, 2);
  EXPECT_EQ(entry->doubtful, 1);
  EXPECT_EQ(entry->status, 200);
  EXPECT_EQ(entry->body, body);
  EXPECT_EQ(ledger->find("lost")->state, LedgerEntry::State::kSent);
  EXPECT_FALSE(ledger->find("never"));
  const LedgerSummary summary = ledger->summary();
  EXPECT_EQ(summary.answered, 1);
  EXPECT_EQ(summary.in_doubt, 1);
  EXPECT_EQ(summary.attempts, 3);
  EXPECT_EQ(summary.resent_in_doubt, 1);
}

TEST_P(CallLedgers, LetsARunGoOnWithoutASecondCall) {
  const auto requests = numbered_requests(40);
  std::vector<std::string> first;
  {
    const auto ledger = open();
    MockEndpoint mock({}, [&](EndpointOptions& options) { options.ledger = ledger.get(); });
    for (const ChatReply& reply : complete_all(*mock.model, requests)) first.push_back(reply.text);
    EXPECT_EQ(mock.server->statistics().accepted, 40U);
  }
  const auto ledger = open();
  Budget budget(Budget::Limits{});
  MockEndpoint mock({}, [&](EndpointOptions& options) {
    options.ledger = ledger.get();
    options.budget = &budget;
  });
  const auto replies = complete_all(*mock.model, requests);
  for (std::size_t i = 0; i < replies.size(); ++i) {
    EXPECT_TRUE(replies[i].replayed);
    EXPECT_EQ(replies[i].text, first[i]);
  }
  EXPECT_EQ(mock.server->statistics().requests, 0U);
  EXPECT_EQ(budget.used().requests, 40);  // what the run has cost so far counts
}

TEST_P(CallLedgers, MakesDoubtAChoice) {
  ChatRequest request = asking("x");
  request.slot = "1";
  for (const InDoubtPolicy policy : {InDoubtPolicy::kSkip, InDoubtPolicy::kResend}) {
    const auto ledger = open();
    if (policy == InDoubtPolicy::kSkip) {
      ledger->sent(run_key(request, "mock endpoint", "mock"), "1", "", 1, 100);
      ledger->commit();
    }
    MockEndpoint mock({}, [&](EndpointOptions& options) {
      options.ledger = ledger.get();
      options.in_doubt = policy;
    });
    const ChatReply reply = complete(*mock.model, request);
    EXPECT_EQ(reply.doubtful, 1);
    if (policy == InDoubtPolicy::kSkip) {
      EXPECT_EQ(reply.status, ReplyStatus::kInDoubt);
      EXPECT_EQ(mock.server->statistics().requests, 0U);
    } else {
      EXPECT_TRUE(reply.done()) << reply.error;
      EXPECT_EQ(reply.attempts, 2);
      EXPECT_EQ(ledger->summary().resent_in_doubt, 1);
    }
  }
}

TEST_P(CallLedgers, RefusesTwoOpenCallsOfOneSlot) {
  const auto ledger = open();
  MockEndpoint mock({}, [&](EndpointOptions& options) { options.ledger = ledger.get(); });
  mock.model->submit(asking("x"), {.on_text = {}, .on_reply = [](const ChatReply&) {}});
  EXPECT_THAT(testing_support::refusal(
                  [&] { mock.model->submit(asking("x"), {.on_text = {}, .on_reply = [](const ChatReply&) {}}); }),
              HasSubstr("still open"));
  while (mock.model->poll(std::chrono::milliseconds(50))) {
  }
}

TEST_P(CallLedgers, BelongToOneConfiguration) {
  const auto ledger = open();
  ledger->check_fingerprint("seeds 1");
  ledger->check_fingerprint("seeds 1");
  EXPECT_THAT(testing_support::refusal([&] { ledger->check_fingerprint("seeds 2"); }),
              HasSubstr("another configuration"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, CallLedgers, testing::Values("sqlite", "postgres"),
                         [](const auto& kind) { return kind.param; });

}  // namespace
}  // namespace kinglet
