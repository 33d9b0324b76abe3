#include "kinglet/llm/sqlite_ledger.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/llm/mock_endpoint.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/llm/sqlite.h"

namespace kinglet {
namespace {

using testing::HasSubstr;
using testing_support::asking;
using testing_support::MockEndpoint;
using testing_support::numbered_requests;
using testing_support::TemporaryFolder;

TEST(SqliteLedger, RemembersTheLifeOfACall) {
  const TemporaryFolder folder;
  const std::string body(100'000, 'b');
  {
    SqliteLedger ledger(folder / "ledger.db");
    EXPECT_FALSE(ledger.find("k"));
    ledger.sent("k", "slot", "judge", 1, 50);
    ledger.attempt_ended("k", 1, "in doubt", true);
    ledger.sent("k", "slot", "judge", 2, 50);
    ledger.answered("k", 2, 200, body);
    ledger.sent("lost", "slot 2", "judge", 1, 50);
    ledger.commit();
    ledger.sent("never", "slot 3", "judge", 1, 50);  // not committed
  }
  SqliteLedger ledger(folder / "ledger.db");
  const auto entry = ledger.find("k");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->state, LedgerEntry::State::kAnswered);
  EXPECT_EQ(entry->attempts, 2);
  EXPECT_EQ(entry->doubtful, 1);
  EXPECT_EQ(entry->status, 200);
  EXPECT_EQ(entry->body, body);
  EXPECT_EQ(ledger.find("lost")->state, LedgerEntry::State::kSent);
  EXPECT_FALSE(ledger.find("never"));
  const LedgerSummary summary = ledger.summary();
  EXPECT_EQ(summary.answered, 1);
  EXPECT_EQ(summary.in_doubt, 1);
  EXPECT_EQ(summary.attempts, 3);
  EXPECT_EQ(summary.resent_in_doubt, 1);
  EXPECT_LT(std::filesystem::file_size(folder / "ledger.db"), 60'000U);  // long bodies are packed
}

TEST(SqliteLedger, BelongsToOneProcessAndOneConfiguration) {
  const TemporaryFolder folder;
  SqliteLedger ledger(folder / "ledger.db");
  EXPECT_THROW(SqliteLedger(folder / "ledger.db"), Error);
  ledger.check_fingerprint("seeds 1");
  ledger.check_fingerprint("seeds 1");
  EXPECT_THAT(testing_support::refusal([&] { ledger.check_fingerprint("seeds 2"); }),
              HasSubstr("another configuration"));
}

TEST(SqliteLedger, LetsARunGoOnWithoutASecondCall) {
  const TemporaryFolder folder;
  const auto requests = numbered_requests(40);
  std::vector<std::string> first;
  {
    SqliteLedger ledger(folder / "ledger.db");
    MockEndpoint mock({}, [&](EndpointOptions& options) { options.ledger = &ledger; });
    for (const ChatReply& reply : complete_all(*mock.model, requests)) first.push_back(reply.text);
    EXPECT_EQ(mock.server->statistics().accepted, 40U);
  }
  SqliteLedger ledger(folder / "ledger.db");
  Budget budget(Budget::Limits{});
  MockEndpoint mock({}, [&](EndpointOptions& options) {
    options.ledger = &ledger;
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

TEST(SqliteLedger, MakesDoubtAChoice) {
  const TemporaryFolder folder;
  ChatRequest request = asking("x");
  request.slot = "1";
  for (const InDoubtPolicy policy : {InDoubtPolicy::kSkip, InDoubtPolicy::kResend}) {
    SqliteLedger ledger(folder / "ledger.db");
    if (policy == InDoubtPolicy::kSkip) {
      ledger.sent(run_key(request, "mock endpoint", "mock"), "1", "", 1, 100);
      ledger.commit();
    }
    MockEndpoint mock({}, [&](EndpointOptions& options) {
      options.ledger = &ledger;
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
      EXPECT_EQ(ledger.summary().resent_in_doubt, 1);
    }
  }
}

TEST(SqliteLedger, RefusesTwoOpenCallsOfOneSlot) {
  const TemporaryFolder folder;
  SqliteLedger ledger(folder / "ledger.db");
  MockEndpoint mock({}, [&](EndpointOptions& options) { options.ledger = &ledger; });
  mock.model->submit(asking("x"), {.on_text = {}, .on_reply = [](const ChatReply&) {}});
  EXPECT_THAT(testing_support::refusal(
                  [&] { mock.model->submit(asking("x"), {.on_text = {}, .on_reply = [](const ChatReply&) {}}); }),
              HasSubstr("still open"));
  while (mock.model->poll(std::chrono::milliseconds(50))) {
  }
}

TEST(SqliteLedger, SendsNothingWhenTheDiskIsNearlyFull) {
  const TemporaryFolder folder;
  SqliteLedger ledger(folder / "ledger.db", {.reserve_bytes = std::uint64_t{1} << 60});
  MockEndpoint mock({}, [&](EndpointOptions& options) { options.ledger = &ledger; });
  for (const ChatReply& reply : complete_all(*mock.model, numbered_requests(5))) {
    EXPECT_EQ(reply.status, ReplyStatus::kRefused);
    EXPECT_THAT(reply.error, HasSubstr("disk is nearly full"));
  }
  EXPECT_EQ(mock.server->statistics().requests, 0U);
}

TEST(SqliteLedger, NeverHoldsTheKey) {
  const TemporaryFolder folder;
  const std::string secret = "sk-secret-0123456789";
  {
    SqliteLedger ledger(folder / "ledger.db");
    MockOptions leaky;
    leaky.script = [&](const MockRequest& request, MockPlan plan) {  // a server that repeats what it knows
      plan.tokens = {"your key is ", secret};
      if (request.last_message == "question 1") plan.fault = MockFault::kEmptyChoices;
      return plan;
    };
    MockEndpoint mock(leaky, [&](EndpointOptions& options) {
      options.ledger = &ledger;
      options.api_key = ApiKey(secret);
    });
    const auto replies = complete_all(*mock.model, numbered_requests(3));
    EXPECT_EQ(replies[0].text, "your key is [key]");
    MockOptions picky;
    picky.api_key = "sk-another-key";
    mock.server->set_options(picky);
    ChatRequest request = asking("refused");
    request.stream = false;
    const ChatReply refused = complete(*mock.model, request);
    EXPECT_EQ(refused.status, ReplyStatus::kRefused);
    EXPECT_THAT(refused.error, testing::Not(HasSubstr(secret)));
    EXPECT_THAT(refused.error, HasSubstr("[key]"));
  }
  for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_EQ(as_text(read_file(file.path())).find(secret), std::string_view::npos) << file.path();
  }
}

}  // namespace
}  // namespace kinglet
