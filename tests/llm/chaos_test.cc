// What must hold when everything goes wrong at once: every call ends exactly once, none is lost, and none is billed
// twice without being marked.
#include <csignal>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/llm/mock_endpoint.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/rng.h"
#include "kinglet/llm/sqlite_ledger.h"

namespace kinglet {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing_support::MockEndpoint;
using testing_support::numbered_requests;
using testing_support::quick_options;
using testing_support::TemporaryFolder;

// Requests whose bodies were accepted more often than once, beyond what the replies say.
int unmarked_repeats(const std::vector<ChatReply>& replies, const MockStatistics& seen) {
  int unmarked = 0;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const auto found = seen.accepted_by_message.find("question " + std::to_string(i));
    const int accepted = found == seen.accepted_by_message.end() ? 0 : found->second;
    unmarked += std::max(0, accepted - 1 - replies[i].doubtful);
  }
  return unmarked;
}

TEST(Chaos, EveryCallEndsOnceUnderEveryFault) {
  MockOptions behaviour{.tokens = 12, .latency = milliseconds(1)};
  behaviour.rates = {{MockFault::kRateLimit, 0.1}, {MockFault::kServerError, 0.1},  {MockFault::kReset, 0.05},
                     {MockFault::kCut, 0.05},      {MockFault::kErrorInside, 0.03}, {MockFault::kHang, 0.02}};
  MockEndpoint mock(behaviour, [](EndpointOptions& options) {
    options.attempt_timeout = milliseconds(150);
    options.max_doubtful_resends = 100;
    options.max_retries = 100;
  });
  const auto requests = numbered_requests(600);
  std::vector<ChatReply> replies(requests.size());
  std::vector<int> ends(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    mock.model->submit(requests[i], {.on_text = {}, .on_reply = [&, i](ChatReply reply) {
                                       replies[i] = std::move(reply);
                                       ++ends[i];
                                     }});
  }
  while (mock.model->poll(milliseconds(100))) {
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(ends[i], 1);
    EXPECT_TRUE(replies[i].done()) << replies[i].error;
  }
  EXPECT_EQ(mock.model->in_flight(), 0);
  EXPECT_EQ(unmarked_repeats(replies, mock.server->statistics()), 0);
}

TEST(Chaos, AStormOfRefusalsPassesWithoutLoss) {
  MockOptions behaviour;
  behaviour.rates = {{MockFault::kRateLimit, 1}};
  behaviour.max_faults_a_request = 4;
  behaviour.retry_after_seconds = 0.02;
  MockEndpoint mock(behaviour);
  for (const ChatReply& reply : complete_all(*mock.model, numbered_requests(100))) {
    EXPECT_TRUE(reply.done()) << reply.error;
    EXPECT_EQ(reply.attempts, 5);
    EXPECT_EQ(reply.doubtful, 0);
  }
  EXPECT_EQ(mock.server->statistics().accepted, 100U);
}

TEST(Chaos, AnEndpointThatDiesAndReturnsCostsNothingButTime) {
  auto server = std::make_unique<MockServer>(MockOptions{.latency = milliseconds(2)});
  const int port = server->port();
  HttpClient client;
  EndpointOptions options = quick_options(server->base_url());
  options.admission.max_in_flight = 8;
  options.max_doubtful_resends = 5;
  EndpointModel model(client, options);
  std::vector<ChatReply> replies(400);
  const auto requests = numbered_requests(400);
  std::size_t ended = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    model.submit(requests[i], {.on_text = {}, .on_reply = [&, i](ChatReply reply) {
                                 replies[i] = std::move(reply);
                                 ++ended;
                               }});
  }
  MockStatistics before;
  bool died = false;
  while (model.open_calls() > 0) {
    model.poll(milliseconds(20));
    if (died || ended <= 100) continue;
    died = true;
    before = server->statistics();
    server.reset();
    const auto until = std::chrono::steady_clock::now() + milliseconds(150);
    while (std::chrono::steady_clock::now() < until) model.poll(milliseconds(10));
    server = std::make_unique<MockServer>(MockOptions{}, port);
  }
  EXPECT_TRUE(died);
  MockStatistics all = server->statistics();
  for (const auto& [message, count] : before.accepted_by_message) all.accepted_by_message[message] += count;
  for (const ChatReply& reply : replies) EXPECT_TRUE(reply.done()) << reply.error;
  EXPECT_EQ(unmarked_repeats(replies, all), 0);
}

TEST(Chaos, AnEndpointThatStaysAwayEndsItsCalls) {
  int port = 0;
  {
    MockServer gone{MockOptions()};
    port = gone.port();
  }
  HttpClient client;
  EndpointOptions options = quick_options("http://127.0.0.1:" + std::to_string(port) + "/v1");
  options.unreachable_limit = milliseconds(100);
  EndpointModel model(client, options);
  for (const ChatReply& reply : complete_all(model, numbered_requests(20))) {
    EXPECT_EQ(reply.status, ReplyStatus::kFailed);
    EXPECT_EQ(reply.doubtful, 0);
    EXPECT_FALSE(reply.error.empty());
  }
}

TEST(Chaos, ANameThatDoesNotExistIsAnErrorOfTheCall) {
  HttpClient client;
  EndpointOptions options = quick_options("http://no-such-host.invalid/v1");
  options.unreachable_limit = milliseconds(1);
  options.connect_timeout = milliseconds(2000);
  EndpointModel model(client, options);
  const ChatReply reply = complete(model, testing_support::asking("x"));
  EXPECT_EQ(reply.status, ReplyStatus::kFailed);
  EXPECT_EQ(reply.doubtful, 0);
}

// The ledger cannot grow any more in the middle of a run. What was answered stays answered; what could not be saved is
// in doubt for the next run, not lost and not forgotten.
TEST(Chaos, AFullDiskLosesNothing) {
  const TemporaryFolder folder;
  const auto requests = numbered_requests(200);
  int done_first = 0;
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{120'000, 120'000};  // of every file of this process
    setrlimit(RLIMIT_FSIZE, &limit);
    int done = 0;
    {
      SqliteLedger ledger(folder / "ledger.db");
      MockEndpoint mock({.tokens = 30}, [&](EndpointOptions& options) {
        options.ledger = &ledger;
        options.admission.max_in_flight = 4;
      });
      for (const ChatReply& reply : complete_all(*mock.model, requests)) {
        done += reply.done();
        if (!reply.done() && reply.status != ReplyStatus::kRefused) _exit(255);
      }
    }
    _exit(done);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  done_first = WEXITSTATUS(status);
  EXPECT_GT(done_first, 3);
  EXPECT_LT(done_first, 200);

  SqliteLedger ledger(folder / "ledger.db");
  EXPECT_GE(ledger.summary().answered, done_first);
  EXPECT_LE(ledger.summary().in_doubt, 4);
  MockEndpoint mock({.tokens = 30}, [&](EndpointOptions& options) { options.ledger = &ledger; });
  int replayed = 0;
  for (const ChatReply& reply : complete_all(*mock.model, requests)) {
    EXPECT_TRUE(reply.done()) << reply.error;
    replayed += reply.replayed;
  }
  EXPECT_GE(replayed, done_first);
}

// A run is killed again and again; its replies must in the end be those of an undisturbed run, and every call that was
// accepted twice must be marked in the ledger.
TEST(Chaos, KillingARunAgainAndAgainLosesNoRow) {
  const TemporaryFolder folder = TemporaryFolder::in_memory();
  MockServer server{MockOptions{.latency = milliseconds(4)}};
  const auto requests = numbered_requests(150);
  const auto run = [&](const std::filesystem::path& out) {
    SqliteLedger ledger(folder / "ledger.db");
    HttpClient client;
    EndpointOptions options = quick_options(server.base_url());
    options.ledger = &ledger;
    options.admission.max_in_flight = 8;
    EndpointModel model(client, options);
    std::string lines;
    for (const ChatReply& reply : complete_all(model, requests)) lines += reply.text + "\n";
    write_file_atomically(out, as_bytes(lines));
  };
  Rng rng(7);
  int kills = 0;
  for (bool finished = false; !finished;) {
    const pid_t child = fork();  // the server's thread stays with the parent
    if (child == 0) {
      try {
        run(folder / "out");
      } catch (const std::exception&) {
        _exit(9);
      }
      _exit(0);
    }
    std::thread([child, wait = 5 + rng.below(30), last = kills >= 12] {
      if (last) return;
      std::this_thread::sleep_for(milliseconds(wait));
      ::kill(child, SIGKILL);
    }).join();
    int status = 0;
    waitpid(child, &status, 0);
    finished = WIFEXITED(status);
    if (finished) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
    }
    kills += !finished;
  }
  EXPECT_GT(kills, 2);
  std::string expected;
  {
    MockEndpoint undisturbed({});
    for (const ChatReply& reply : complete_all(*undisturbed.model, requests)) expected += reply.text + "\n";
  }
  EXPECT_EQ(as_text(read_file(folder / "out")), expected);
  SqliteLedger ledger(folder / "ledger.db");
  EXPECT_EQ(ledger.summary().answered, 150);
  EXPECT_EQ(ledger.summary().in_doubt, 0);
  const MockStatistics seen = server.statistics();
  int repeats = 0;
  for (const auto& [message, count] : seen.accepted_by_message) repeats += count - 1;
  EXPECT_LE(repeats, ledger.summary().resent_in_doubt);
  EXPECT_LE(repeats, 8 * kills);
}

TEST(Chaos, AFileThatIsNoLedgerIsRefused) {
  const TemporaryFolder folder;
  std::ofstream(folder / "ledger.db") << std::string(10'000, 'x');
  EXPECT_THROW(SqliteLedger(folder / "ledger.db"), Error);
}

}  // namespace
}  // namespace kinglet
