// kinglet serve and kinglet chat on a model whose text is known (tests/support/chain_model.h).
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/chain_model.h"
#include "tests/support/http_client.h"
#include "tests/support/process.h"
#include "tests/support/program.h"
#include "tests/support/temporary_folder.h"

namespace kinglet {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing_support::ChainModel;
using testing_support::HttpReply;
using testing_support::port_of;
using testing_support::ProcessResult;
using testing_support::Program;
using testing_support::TemporaryFolder;
using Arguments = std::vector<std::string>;

constexpr const char* kTemplate = "{% for m in messages %}{{ m.content }}{% endfor %}";

class Serve : public testing::Test {
 protected:
  Serve() {
    model.write_folder(path());
    write_file_atomically(folder / "chat.jinja", as_bytes(kTemplate));
  }
  std::string path() const { return (folder / "model").string(); }
  Arguments arguments(const std::string& command, const Arguments& more = {}) const {
    Arguments all = {command, "--model", path()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  ChainModel model;
  TemporaryFolder folder;
};

TEST_F(Serve, AnswersAndEndsWithASignal) {
  for (const int signal : {SIGINT, SIGTERM}) {
    Program program(arguments("serve", {"--port", "0", "--json", "--name", "chain"}));
    const int port = port_of(program);
    EXPECT_EQ(testing_support::ask(port, "GET", "/health").status, 200);
    EXPECT_EQ(testing_support::ask(port, "GET", "/v1/models").json()["data"][0]["id"], "chain");
    const HttpReply reply = testing_support::post(
        port, "/v1/completions", {{"prompt", "a"}, {"max_tokens", 5}, {"temperature", 0}, {"logprobs", 2}});
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.json()["choices"][0]["text"], "bcdef");
    EXPECT_EQ(reply.json()["choices"][0]["logprobs"]["tokens"], json({"b", "c", "d", "e", "f"}));
    EXPECT_EQ(
        testing_support::post(port, "/v1/chat/completions", {{"messages", {{{"role", "user"}, {"content", "a"}}}}})
            .json()["error"]["code"],
        "no_chat_template");
    EXPECT_THAT(testing_support::ask(port, "GET", "/").body, HasSubstr("<!doctype html>"));
    EXPECT_EQ(program.end(signal), 0);
  }
}

TEST_F(Serve, ChatWithATemplateOfItsOwnAndAKey) {
  const std::string file = (folder / "chat.jinja").string();
  Program program(arguments("serve", {"--port", "0", "--json", "--chat-template", file}), " sk-test\n");
  const int port = port_of(program);
  const json body = {{"messages", {{{"role", "user"}, {"content", "a"}}}}, {"max_tokens", 3}, {"temperature", 0}};
  EXPECT_EQ(testing_support::post(port, "/v1/chat/completions", body).status, 401);
  const HttpReply reply =
      testing_support::post(port, "/v1/chat/completions", body, "Authorization: Bearer sk-test\r\n");
  EXPECT_EQ(reply.json()["choices"][0]["message"]["content"], "bcd") << reply.body;
  EXPECT_EQ(reply.json()["model"], "model");
}

TEST_F(Serve, ErrorsAreOneLine) {
  const auto refused = [&](const Arguments& more, int code, const std::string& words) {
    const ProcessResult result = testing_support::run_kinglet(arguments("serve", more));
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_THAT(result.err, HasSubstr(words));
  };
  refused({"--host", "localhost"}, 2, "--host");
  refused({"--api-key-file", "/nowhere"}, 2, "/nowhere");
  write_file_atomically(folder / "empty", as_bytes("\n"));
  refused({"--api-key-file", (folder / "empty").string()}, 2, "the API key is empty");
  refused({"--port", "70000"}, 2, "--port");
  refused({"--chat-template", "/nowhere"}, 2, "/nowhere");
}

TEST_F(Serve, ConversationOverPipes) {
  const std::string file = (folder / "chat.jinja").string();
  Program program(arguments("chat", {"--chat-template", file, "--temperature", "0", "--max-tokens", "3"}));
  program.write("a\n");
  EXPECT_EQ(program.line(), "bcd");
  program.write("\nx\n");  // behind "abcdx"
  EXPECT_EQ(program.line(), "yz{");
  program.write("/reset\n/system ab\nc");
  program.close_input();
  EXPECT_EQ(program.line(), "def");
  EXPECT_EQ(program.end(), 0);
}

TEST_F(Serve, ChatWithoutATemplateIsRefused) {
  const ProcessResult result = testing_support::run_kinglet(arguments("chat"));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--chat-template"));
}

}  // namespace
}  // namespace kinglet
