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

TEST(SqliteLedger, BelongsToOneProcess) {
  const TemporaryFolder folder;
  const SqliteLedger ledger(folder / "ledger.db");
  EXPECT_THROW(SqliteLedger(folder / "ledger.db"), Error);
}

TEST(SqliteLedger, PacksLongBodies) {
  const TemporaryFolder folder;
  {
    SqliteLedger ledger(folder / "ledger.db");
    ledger.sent("k", "slot", "judge", 1, 50);
    ledger.answered("k", 1, 200, std::string(100'000, 'b'));
    ledger.commit();
  }
  EXPECT_LT(std::filesystem::file_size(folder / "ledger.db"), 60'000U);
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
