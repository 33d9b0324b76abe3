#include "kinglet/llm/endpoint_model.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/llm/mock_endpoint.h"
#include "tests/support/refusal.h"

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing_support::asking;
using testing_support::MockEndpoint;
using testing_support::numbered_requests;

TEST(EndpointModel, ReadsAStreamedReply) {
  MockEndpoint mock({.tokens = 5});
  ChatRequest request = asking("Hello there");
  request.log_probs = true;
  std::string pieces;
  ChatReply reply;
  mock.model->submit(request, {.on_text = [&](std::string_view piece) { pieces += piece; },
                               .on_reply = [&](ChatReply whole) { reply = std::move(whole); }});
  while (mock.model->poll(milliseconds(100))) {
  }
  ASSERT_EQ(reply.status, ReplyStatus::kDone) << reply.error;
  EXPECT_EQ(reply.text, pieces);
  EXPECT_EQ(std::ranges::count(reply.text, ' '), 4);
  EXPECT_EQ(reply.finish_reason, FinishReason::kStop);
  EXPECT_EQ(reply.usage, (TokenUsage{6, 0, 5, 0, false}));
  EXPECT_EQ(reply.log_probs.size(), 5U);
  EXPECT_EQ(reply.attempts, 1);
  EXPECT_EQ(reply.doubtful, 0);
  EXPECT_EQ(reply.model, "mock");
}

TEST(EndpointModel, GetsTheSameReplyWithoutAStream) {
  MockEndpoint mock({});
  ChatRequest request = asking("Hello");
  request.max_tokens = 3;
  request.stream = false;
  const ChatReply whole = complete(*mock.model, request);
  EXPECT_TRUE(whole.done()) << whole.error;
  EXPECT_EQ(whole.finish_reason, FinishReason::kLength);
  EXPECT_EQ(whole.usage.completion, 3);
}

TEST(EndpointModel, KeepsManyCallsInFlightOverKeptConnections) {
  MockEndpoint mock({.latency = milliseconds(30)},
                    [](EndpointOptions& options) { options.admission.max_in_flight = 200; });
  const auto replies = complete_all(*mock.model, numbered_requests(1000));
  for (const ChatReply& reply : replies) ASSERT_TRUE(reply.done()) << reply.error;
  const MockStatistics seen = mock.server->statistics();
  EXPECT_EQ(seen.accepted, 1000U);
  EXPECT_GT(seen.most_at_once, 100U);
  EXPECT_LE(seen.most_at_once, 200U);
  EXPECT_LE(seen.connections, 200U);
}

TEST(EndpointModel, TakesTheUrgentCallsFirst) {
  MockEndpoint mock({}, [](EndpointOptions& options) { options.admission.max_in_flight = 1; });
  std::vector<std::string> order;
  for (const int priority : {0, 5, 0, 9}) {
    ChatRequest request = asking(std::to_string(order.size()));
    request.priority = priority;
    mock.model->submit(request, {.on_text = {}, .on_reply = [&order, priority](const ChatReply&) {
                                   order.push_back(std::to_string(priority));
                                 }});
  }
  while (mock.model->poll(milliseconds(100))) {
  }
  EXPECT_THAT(order, testing::ElementsAre("9", "5", "0", "0"));
}

TEST(EndpointModel, RetriesWhatTheServerBroke) {
  MockEndpoint mock({.rates = {{MockFault::kServerError, 1}}, .max_faults_a_request = 2});
  const ChatReply reply = complete(*mock.model, asking("x"));
  EXPECT_TRUE(reply.done()) << reply.error;
  EXPECT_EQ(reply.attempts, 3);
  EXPECT_EQ(reply.doubtful, 0);
  EXPECT_EQ(mock.server->statistics().accepted, 1U);
}

TEST(EndpointModel, GivesUpAfterItsRetries) {
  MockEndpoint mock({.rates = {{MockFault::kServerError, 1}}},
                    [](EndpointOptions& options) { options.max_retries = 2; });
  const ChatReply reply = complete(*mock.model, asking("x"));
  EXPECT_EQ(reply.status, ReplyStatus::kFailed);
  EXPECT_EQ(reply.error, "HTTP 500: something broke");
  EXPECT_EQ(reply.attempts, 3);
}

TEST(EndpointModel, ResendsOnceWhatIsInDoubtAndSaysSo) {
  for (const MockFault fault : {MockFault::kReset, MockFault::kCut, MockFault::kErrorInside}) {
    for (const bool stream : {true, false}) {
      MockEndpoint mock({.rates = {{fault, 1}}, .max_faults_a_request = 1});
      ChatRequest request = asking("x");
      request.stream = stream;
      const ChatReply reply = complete(*mock.model, request);
      EXPECT_TRUE(reply.done()) << name_of(fault) << ": " << reply.error;
      EXPECT_EQ(reply.attempts, 2);
      EXPECT_EQ(reply.doubtful, 1) << name_of(fault);
      EXPECT_TRUE(reply.usage.estimated);
      EXPECT_EQ(mock.server->statistics().accepted, 2U);
    }
  }
  MockEndpoint mock({.rates = {{MockFault::kReset, 1}}});
  const ChatReply reply = complete(*mock.model, asking("x"));
  EXPECT_EQ(reply.status, ReplyStatus::kFailed);
  EXPECT_EQ(reply.doubtful, 2);
  EXPECT_EQ(mock.server->statistics().accepted, 2U);
}

// libcurl sends a request again by itself when a kept connection breaks before the first byte; that would be billed
// twice without a mark.
TEST(EndpointModel, NoticesAKeptConnectionThatBreaks) {
  MockEndpoint mock({});
  EXPECT_TRUE(complete(*mock.model, asking("first")).done());
  MockOptions breaking;
  breaking.rates = {{MockFault::kReset, 1}};
  breaking.max_faults_a_request = 1;
  mock.server->set_options(breaking);
  const ChatReply reply = complete(*mock.model, asking("second"));
  EXPECT_TRUE(reply.done()) << reply.error;
  EXPECT_EQ(mock.server->statistics().accepted_by_message.at("second"), reply.attempts);
  EXPECT_EQ(reply.doubtful, reply.attempts - 1);
}

TEST(EndpointModel, AsksOnceMoreAfterAnAnswerThatIsNone) {
  for (const MockFault fault : {MockFault::kMalformed, MockFault::kEmptyChoices}) {
    MockEndpoint mock({.rates = {{fault, 1}}, .max_faults_a_request = 1});
    EXPECT_EQ(complete(*mock.model, asking("x")).attempts, 2) << name_of(fault);
    MockEndpoint broken({.rates = {{fault, 1}}});
    const ChatReply reply = complete(*broken.model, asking("x"));
    EXPECT_EQ(reply.status, ReplyStatus::kFailed);
    EXPECT_EQ(reply.attempts, 2);
    EXPECT_FALSE(reply.error.empty());
  }
}

TEST(EndpointModel, EndsSilentServersByTimeout) {
  MockEndpoint mock({.rates = {{MockFault::kHang, 1}}, .max_faults_a_request = 1},
                    [](EndpointOptions& options) { options.attempt_timeout = milliseconds(50); });
  const ChatReply reply = complete(*mock.model, asking("x"));
  EXPECT_TRUE(reply.done()) << reply.error;
  EXPECT_EQ(reply.doubtful, 1);
}

TEST(EndpointModel, EndsAnswersThatStopComing) {
  MockOptions slow{.token_delay = milliseconds(400)};
  MockEndpoint mock(slow, [](EndpointOptions& options) {
    options.idle_timeout = milliseconds(60);
    options.max_doubtful_resends = 0;
  });
  const ChatReply reply = complete(*mock.model, asking("x"));
  EXPECT_EQ(reply.status, ReplyStatus::kFailed);
  EXPECT_EQ(reply.error, "no byte for 60 ms");
}

TEST(EndpointModel, ReadsAnswersThatDrip) {
  MockEndpoint mock({.tokens = 2, .token_delay = milliseconds(1), .bytes_at_once = 40});
  EXPECT_TRUE(complete(*mock.model, asking("x")).done());
}

TEST(EndpointModel, KeepsDeadlines) {
  MockEndpoint mock({.latency = milliseconds(2000)});
  ChatRequest request = asking("x");
  request.deadline = milliseconds(80);
  const ChatReply reply = complete(*mock.model, request);
  EXPECT_EQ(reply.status, ReplyStatus::kDeadline);
  EXPECT_EQ(reply.doubtful, 1);
  EXPECT_LT(reply.seconds.count(), 1.5);
}

TEST(EndpointModel, ClosesTheConnectionOfACancelledCall) {
  MockEndpoint mock({.tokens = 1000, .token_delay = milliseconds(5)});
  std::vector<ReplyStatus> ends;
  const CallId call = mock.model->submit(asking("long"), {.on_text = {}, .on_reply = [&](const ChatReply& reply) {
                                                            ends.push_back(reply.status);
                                                            EXPECT_TRUE(reply.usage.estimated);
                                                          }});
  while (mock.server->statistics().accepted == 0) mock.model->poll(milliseconds(5));
  mock.model->cancel(call);
  mock.model->cancel(call);
  while (mock.model->poll(milliseconds(10))) {
  }
  EXPECT_THAT(ends, testing::ElementsAre(ReplyStatus::kCancelled));
  for (int i = 0; i < 200 && mock.server->statistics().given_up == 0; ++i) usleep(5000);
  EXPECT_EQ(mock.server->statistics().given_up, 1U);
}

TEST(EndpointModel, StopsForGoodWhenItsKeyIsWrong) {
  MockEndpoint mock({.api_key = "sk-right-key"}, [](EndpointOptions& options) {
    options.api_key = ApiKey("sk-wrong-key-123");
    options.admission.max_in_flight = 2;
  });
  const auto replies = complete_all(*mock.model, numbered_requests(20));
  for (const ChatReply& reply : replies) {
    EXPECT_EQ(reply.status, ReplyStatus::kRefused);
    EXPECT_THAT(reply.error, HasSubstr("401"));
    EXPECT_THAT(reply.error, testing::Not(HasSubstr("sk-wrong")));  // the server repeats it
  }
  EXPECT_LE(mock.server->statistics().requests, 4U);
}

TEST(EndpointModel, SlowsDownForAServerThatTakesLess) {
  MockEndpoint mock({.latency = milliseconds(5), .max_concurrent = 8}, [](EndpointOptions& options) {
    options.admission.max_in_flight = 64;
    options.admission.cool_down = milliseconds(20);
  });
  const auto replies = complete_all(*mock.model, numbered_requests(1500));
  for (const ChatReply& reply : replies) ASSERT_TRUE(reply.done()) << reply.error;
  const MockStatistics seen = mock.server->statistics();
  EXPECT_EQ(seen.accepted, 1500U);
  EXPECT_LT(static_cast<double>(seen.limited), 0.2 * 1500);
  EXPECT_LE(mock.model->current_limit(), 16);
}

TEST(EndpointModel, WaitsAsLongAsTheServerAsks) {
  MockEndpoint mock({.rates = {{MockFault::kRateLimit, 1}}, .max_faults_a_request = 1, .retry_after_seconds = 0.3});
  const ChatReply reply = complete(*mock.model, asking("x"));
  EXPECT_TRUE(reply.done());
  EXPECT_GE(reply.seconds.count(), 0.3);
  EXPECT_EQ(reply.attempts, 2);
}

TEST(EndpointModel, NeverPassesABudgetOfTokens) {
  Budget budget({.requests = {}, .tokens = 2000, .money = {}});
  MockEndpoint mock({.tokens = 20}, [&](EndpointOptions& options) { options.budget = &budget; });
  std::vector<ChatRequest> requests = numbered_requests(300);
  for (ChatRequest& request : requests) request.max_tokens = 10;
  const auto replies = complete_all(*mock.model, requests);
  std::int64_t billed = 0, done = 0;
  for (const ChatReply& reply : replies) {
    EXPECT_TRUE(reply.done() || reply.status == ReplyStatus::kBudget) << reply.error;
    billed += reply.usage.prompt + reply.usage.completion;
    done += reply.done();
  }
  EXPECT_LE(mock.server->statistics().billed_tokens, 2000U);
  EXPECT_EQ(static_cast<std::int64_t>(mock.server->statistics().billed_tokens), billed);
  EXPECT_EQ(budget.used().tokens, billed);
  EXPECT_GT(done, 100);  // it is used up but for one call's reserve
  EXPECT_LT(done, 300);
}

TEST(EndpointModel, StopsAtABudgetOfRequestsOrMoney) {
  Budget requests({.requests = 7, .tokens = {}, .money = {}});
  MockEndpoint first({}, [&](EndpointOptions& options) { options.budget = &requests; });
  complete_all(*first.model, numbered_requests(20));
  EXPECT_EQ(first.server->statistics().accepted, 7U);

  Budget money({.requests = {}, .tokens = {}, .money = 0.01});
  MockEndpoint second({}, [&](EndpointOptions& options) {
    options.budget = &money;
    options.price = Price{10, 10, 100};
  });
  std::vector<ChatRequest> many = numbered_requests(50);
  for (ChatRequest& request : many) request.max_tokens = 8;
  complete_all(*second.model, many);
  EXPECT_LE(money.used().money, 0.01);
  EXPECT_GT(money.used().money, 0.006);
  EXPECT_THAT(testing_support::refusal([&] { complete(*second.model, asking("x")); }), HasSubstr("max_tokens"));
}

TEST(EndpointModel, SumsCostsByRole) {
  PriceTable prices;
  prices.set("mock", {1, 1, 2});
  CostMeter meter(prices);
  MockEndpoint mock({.tokens = 4}, [&](EndpointOptions& options) { options.meter = &meter; });
  std::vector<ChatRequest> requests = numbered_requests(10);
  for (std::size_t i = 0; i < 10; ++i) requests[i].role = i < 3 ? "judge" : "answer";
  complete_all(*mock.model, requests);
  const CallCosts& judge = meter.rows().at({"judge", "mock"});
  EXPECT_EQ(judge.calls, 3);
  EXPECT_EQ(judge.usage.completion, 12);
  EXPECT_NEAR(meter.total().money, (10 * 6 * 1 + 10 * 4 * 2) / 1e6, 1e-12);
  EXPECT_EQ(meter.total().requests, 10);
}

TEST(EndpointModel, LetsEndpointsShareOneClient) {
  MockServer second_server{MockOptions{.model = "other"}};
  MockEndpoint mock({});
  EndpointOptions options;
  options.base_url = second_server.base_url();
  options.model = "other";
  EndpointModel other(mock.client, options);
  int ends = 0;
  const ChatCallbacks count = {.on_text = {}, .on_reply = [&](const ChatReply& reply) { ends += reply.done(); }};
  for (int i = 0; i < 10; ++i) mock.model->submit(asking(std::to_string(i)), count), other.submit(asking("x"), count);
  while (mock.model->open_calls() + other.open_calls() > 0)
    mock.model->open_calls() > 0 ? mock.model->poll(milliseconds(50)) : other.poll(milliseconds(50));
  EXPECT_EQ(ends, 20);
}

TEST(EndpointModel, RefusesOptionsThatCannotWork) {
  HttpClient client;
  const auto with = [&](std::string url, std::string model) {
    EndpointOptions options;
    options.base_url = std::move(url);
    options.model = std::move(model);
    return testing_support::refusal([&] { EndpointModel endpoint(client, options); });
  };
  EXPECT_THAT(with("127.0.0.1:80", "m"), HasSubstr("must begin with http"));
  EXPECT_THAT(with("http://me:secret@host/v1", "m"),
              testing::AllOf(HasSubstr("password"), testing::Not(HasSubstr("secret"))));
  EXPECT_THAT(with("http://host/v1", ""), HasSubstr("model"));
}

}  // namespace
}  // namespace kinglet
