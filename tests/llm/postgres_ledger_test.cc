#include "kinglet/llm/postgres_ledger.h"

#include <cstdlib>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/llm/mock_endpoint.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/refusal.h"

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing_support::numbered_requests;
using testing_support::PostgresCluster;
using testing_support::quick_options;
using testing_support::refusal;
using Claim = CallLedger::Claim;

class PostgresLedgers : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    cluster_ = PostgresCluster::shared(reason);
    if (cluster_ == nullptr) GTEST_SKIP() << reason;
    url_ = cluster_->url();
    job_ = testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  std::unique_ptr<PostgresLedger> open() const { return std::make_unique<PostgresLedger>(url_, job_); }

  const PostgresCluster* cluster_ = nullptr;
  std::string url_, job_;
};

TEST_F(PostgresLedgers, GrantACallToOneWorker) {
  const auto one = open(), two = open();
  EXPECT_NE(one->worker(), two->worker());
  EXPECT_THAT(one->claim({"b", "a"}, true), ElementsAre(Claim::kNew, Claim::kNew));
  EXPECT_THAT(two->claim({"a", "c", "b"}, true), ElementsAre(Claim::kNo, Claim::kNew, Claim::kNo));
  EXPECT_EQ(two->find("a")->state, LedgerEntry::State::kElsewhere);
  EXPECT_THROW(two->sent("a", "slot", "judge", 1, 50), Error);
  one->sent("a", "slot", "judge", 1, 50);
  one->commit();
  EXPECT_THAT(two->free_of({"a", "b"}), ElementsAre());
  one->answered("a", 1, 200, "body");
  EXPECT_THAT(two->free_of({"a", "b"}), ElementsAre());  // not committed
  one->commit();
  EXPECT_THAT(two->free_of({"a", "b"}), ElementsAre("a"));
  EXPECT_EQ(two->find("a")->body, "body");
  EXPECT_THAT(two->claim({"a"}, true), ElementsAre(Claim::kNo));  // there is nothing to send

  one->release("b");
  EXPECT_THAT(two->claim({"b"}, true), ElementsAre(Claim::kTakenOver));
}

TEST_F(PostgresLedgers, HandTheCallsOfADeadWorkerOn) {
  auto dead = open();
  const auto one = open(), two = open();
  dead->claim({"claimed", "sent", "answered"}, true);
  for (const char* key : {"sent", "answered"}) dead->sent(key, "slot", "judge", 1, 50);
  dead->answered("answered", 1, 200, "body");
  dead->commit();
  EXPECT_THAT(one->claim({"claimed", "sent"}, true), ElementsAre(Claim::kNo, Claim::kNo));
  dead.reset();

  EXPECT_THAT(one->free_of({"claimed", "sent"}), testing::UnorderedElementsAre("claimed", "sent"));
  EXPECT_EQ(one->find("answered")->state, LedgerEntry::State::kAnswered);
  EXPECT_EQ(one->find("sent")->state, LedgerEntry::State::kSent);
  EXPECT_EQ(one->summary().in_doubt, 1);
  // A worker that skips what is in doubt does not get it.
  EXPECT_THAT(one->claim({"claimed", "sent"}, false), ElementsAre(Claim::kTakenOver, Claim::kNo));
  EXPECT_THAT(two->claim({"claimed", "sent"}, true), ElementsAre(Claim::kNo, Claim::kTakenOver));
  EXPECT_EQ(two->find("sent")->state, LedgerEntry::State::kSent);
  EXPECT_EQ(one->find("sent")->state, LedgerEntry::State::kElsewhere);
  two->attempt_ended("sent", 1, "in doubt", true);
  two->sent("sent", "slot", "judge", 2, 50);
  two->answered("sent", 2, 200, "late");
  two->commit();
  EXPECT_EQ(one->find("sent")->doubtful, 1);
  EXPECT_EQ(one->summary().resent_in_doubt, 1);
}

TEST_F(PostgresLedgers, SettleAFailureUntilTheNextStart) {
  auto one = open(), two = open();
  one->claim({"k"}, true);
  one->sent("k", "slot", "judge", 1, 50);
  one->failed("k", 1, 400, "no such model", "body", false);
  one->commit();
  one.reset();
  EXPECT_TRUE(two->find("k")->settled);
  EXPECT_EQ(two->find("k")->error, "no such model");
  EXPECT_THAT(two->claim({"k"}, true), ElementsAre(Claim::kNo));
  EXPECT_TRUE(open()->find("k")->settled);  // the job still runs
  two.reset();
  one = open();
  EXPECT_FALSE(one->find("k")->settled);
  EXPECT_THAT(one->claim({"k"}, true), ElementsAre(Claim::kTakenOver));
}

// Two workers with the same calls, in threads: each call is sent once, and both have every reply.
TEST_F(PostgresLedgers, DivideTheCalls) {
  constexpr int kCalls = 120;
  MockOptions behaviour;
  behaviour.script = [](const MockRequest& request, MockPlan plan) {
    plan.latency = std::chrono::milliseconds(10);
    plan.tokens = {"this is answer " + std::to_string(request.last_message.size())};
    if (request.last_message == "question 3") plan.fault = MockFault::kEmptyChoices;
    return plan;
  };
  MockServer server(behaviour);
  const auto requests = numbered_requests(kCalls);
  std::vector<ChatReply> replies[2];
  const auto work = [&](int index) {
    const auto ledger = open();
    HttpClient client;
    EndpointOptions options = quick_options(server.base_url());
    options.ledger = ledger.get();
    options.admission.max_in_flight = 4;
    EndpointModel model(client, std::move(options));
    replies[index] = complete_all(model, requests);
  };
  const auto keep = open();  // the job lives until both have ended
  std::thread other(work, 1);
  work(0);
  other.join();
  int sent[2] = {};
  for (int i = 0; i < kCalls; ++i) {
    EXPECT_EQ(replies[0][i].done(), i != 3) << replies[0][i].error;
    EXPECT_EQ(replies[1][i].done(), i != 3);
    EXPECT_EQ(replies[0][i].text, replies[1][i].text);
    EXPECT_EQ(replies[0][i].error, replies[1][i].error);
    EXPECT_NE(replies[0][i].replayed, replies[1][i].replayed);
    for (int worker = 0; worker < 2; ++worker) sent[worker] += replies[worker][i].replayed ? 0 : 1;
  }
  EXPECT_EQ(server.statistics().accepted, kCalls + 1U);  // question 3 once more
  EXPECT_EQ(sent[0] + sent[1], kCalls);
  EXPECT_GT(std::min(sent[0], sent[1]), kCalls / 4);
  RecordProperty("sent_by_first", sent[0]);
}

TEST_F(PostgresLedgers, SayWhatIsWrong) {
  EXPECT_THAT(refusal([&] { PostgresLedger(url_, "no/name"); }), HasSubstr("'no/name'"));
  EXPECT_THAT(refusal([&] { PostgresLedger("postgresql://u:secret-word@/db", job_); }),
              AllOf(HasSubstr("PGPASSWORD"), Not(HasSubstr("secret-word"))));
  EXPECT_THAT(refusal([&] { PostgresLedger("postgresql://u@h:x/db?secret-word=%", job_); }),
              AllOf(HasSubstr("cannot be read"), Not(HasSubstr("secret-word"))));
  EXPECT_THAT(refusal([&] { PostgresLedger(cluster_->url("nowhere"), job_); }), HasSubstr("nowhere"));
  setenv("PGPASSWORD", "secret-word", 1);
  EXPECT_THAT(refusal([&] { PostgresLedger(cluster_->url("postgres", "secured"), job_); }),
              AllOf(HasSubstr("password"), Not(HasSubstr("secret-word"))));
  setenv("PGPASSWORD", "right", 1);  // it may come in, but not make a schema
  EXPECT_THAT(refusal([&] { PostgresLedger(cluster_->url("postgres", "secured"), job_); }), HasSubstr("GRANT CREATE"));
  unsetenv("PGPASSWORD");
  try {
    PostgresLedger("postgresql://u@/db?host=/nowhere", job_);
    ADD_FAILURE() << "there is no server";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 1);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("/nowhere"), HasSubstr("server is running")));
  }

  PostgresConnection connection(url_);
  connection.run_script("CREATE SCHEMA \"kinglet_of_others\"");
  EXPECT_THAT(refusal([&] { PostgresLedger(url_, "of_others"); }), HasSubstr("something else"));
  open();
  connection.run_script("UPDATE \"kinglet_" + job_ + "\".facts SET value = '9' WHERE name = 'version'");
  EXPECT_THAT(refusal([&] { open(); }), HasSubstr("version 9"));
}

TEST_F(PostgresLedgers, StopWhenTheirConnectionIsLost) {
  const auto ledger = open();
  MockServer server(MockOptions{});
  HttpClient client;
  EndpointOptions options = quick_options(server.base_url());
  options.ledger = ledger.get();
  EndpointModel model(client, std::move(options));
  const auto requests = numbered_requests(3);
  EXPECT_TRUE(complete(model, requests[0]).done());
  std::vector<ChatReply> replies;
  model.submit(requests[1], {.on_text = {}, .on_reply = [&](ChatReply reply) { replies.push_back(std::move(reply)); }});
  PostgresConnection(url_).run(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND"
      " application_name = 'kinglet'");
  while (model.poll(std::chrono::milliseconds(20))) {
  }
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies[0].status, ReplyStatus::kRefused);
  EXPECT_THAT(replies[0].error, HasSubstr("start the same command again"));
  EXPECT_EQ(server.statistics().accepted, 1U);
}

}  // namespace
}  // namespace kinglet
