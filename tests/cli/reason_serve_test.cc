// kinglet reason serve in front of a mock upstream, and forests of kinglet serve.
#include <csignal>
#include <nlohmann/json.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/chain_model.h"
#include "tests/support/http_client.h"
#include "tests/support/process.h"
#include "tests/support/program.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/llm/mock_server.h"

namespace kinglet {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using testing_support::HttpReply;
using testing_support::port_of;
using testing_support::Program;
using testing_support::run_kinglet;
using testing_support::slurp;

json forest_request(const std::string& text, json reasoning) {
  return {{"messages", {{{"role", "user"}, {"content", text}}}}, {"reasoning", std::move(reasoning)}, {"seed", 1}};
}

TEST(ReasonServe, PutsAForestInFrontOfAnEndpointWithoutLibTorch) {
  MockOptions options;
  options.script = [](const MockRequest&, MockPlan plan) {
    plan.tokens = {"Well", ",", " the", " answer", " is", " 12"};
    return plan;
  };
  MockServer upstream(options);
  Program program({"--json", "reason", "serve", "--upstream", upstream.base_url(), "--model", "mock", "--port", "0"});
  const int port = port_of(program);
  json body = forest_request("5 and 7?", {{"trees", 4}, {"trace", true}});
  body["model"] = "fot-mock";
  const HttpReply reply = testing_support::post(port, "/v1/chat/completions", body);
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["choices"][0]["message"]["content"], "Well, the answer is 12");
  EXPECT_EQ(reply.json()["reasoning"]["label"], "12");
  EXPECT_EQ(reply.json()["usage"]["completion_tokens"], 6 * static_cast<int>(upstream.statistics().accepted));
  EXPECT_THAT(testing_support::ask(port, "GET", "/").body, HasSubstr("<!doctype html>"));
  EXPECT_THAT(slurp(fmt::format("/proc/{}/maps", program.id())), Not(HasSubstr("torch")));
  EXPECT_EQ(program.end(SIGTERM), 0);
}

TEST(ReasonServe, TriesThePageOutWithDice) {
  Program program({"--json", "reason", "serve", "--simulate", "--port", "0"});
  const int port = port_of(program);
  const HttpReply reply = testing_support::post(
      port, "/v1/chat/completions", forest_request("4 9 10 13", {{"task", "game24"}, {"trees", 16}, {"trace", true}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json trace = reply.json()["reasoning"];
  EXPECT_EQ(trace["decided_by"], "solved");
  EXPECT_EQ(run_kinglet({"verify24", "4 9 10 13", trace["label"]}).exit_code, 0);
  EXPECT_EQ(program.end(SIGINT), 0);
}

TEST(ReasonServe, ErrorsAreOneLine) {
  const auto refused = [](const std::vector<std::string>& more, const std::string& words) {
    std::vector<std::string> arguments = {"reason", "serve", "--port", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_kinglet(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(words));
  };
  refused({}, "--upstream");
  refused({"--upstream", "http://127.0.0.1:9/v1"}, "--model");
  refused({"--upstream", "ftp://somewhere", "--model", "m"}, "must begin with http://");
  refused({"--upstream", "http://127.0.0.1:9/v1", "--model", "m", "--key-from", "KINGLET_NO_SUCH_VARIABLE"},
          "KINGLET_NO_SUCH_VARIABLE");
  refused({"--simulate", "--max-trees", "0"}, "--max-trees");
}

TEST(ReasonServe, TheServedModelReasonsToo) {
  const testing_support::ChainModel model;
  const testing_support::TemporaryFolder folder;
  model.write_folder(folder / "model");
  write_file_atomically(folder / "chat.jinja", as_bytes("a"));
  Program program({"--json", "serve", "--model", (folder / "model").string(), "--chat-template",
                   (folder / "chat.jinja").string(), "--port", "0"});
  const int port = port_of(program);
  json body = forest_request("b", {{"trees", 2}, {"base", "io"}, {"correction", false}, {"fallback", false}});
  body.update({{"temperature", 0}, {"max_tokens", 3}});
  const HttpReply reply = testing_support::post(port, "/v1/chat/completions", body);
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["model"], "fot-model");
  // It never comes to an end by itself: the trees ask again with room for twice the tokens, and none of them votes.
  EXPECT_EQ(reply.json()["choices"][0]["message"]["content"], "bcdefg");
  EXPECT_EQ(reply.json()["usage"]["completion_tokens"], 2 * (3 + 6));
  EXPECT_EQ(program.end(SIGTERM), 0);
}

}  // namespace
}  // namespace kinglet
