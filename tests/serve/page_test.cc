// The web page in a headless Chromium, against a server with a scripted model.
#include "kinglet/serve/page.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/browser.h"
#include "tests/support/proxy_server.h"
#include "tests/support/test_server.h"

#include "kinglet/llm/scripted_model.h"
#include "kinglet/methods/fot/simulated_model.h"

namespace kinglet {
namespace {

using testing_support::ask;
using testing_support::Browser;
using testing_support::HttpReply;
using testing_support::ScriptedEngine;
using testing_support::TestServer;

TEST(Page, ItsFilesAreServedUnderAStrictPolicy) {
  const TestServer server;
  for (const PageFile& file : page_files()) {
    const HttpReply reply = ask(server.port(), "GET", std::string(file.path));
    EXPECT_EQ(reply.status, 200) << file.path;
    EXPECT_EQ(reply.body, file.content);
    EXPECT_EQ(reply.field("Content-Type"), file.type);
    const std::string policy = reply.field("Content-Security-Policy");
    EXPECT_TRUE(policy.starts_with("default-src 'none'")) << policy;
    EXPECT_EQ(policy.find("unsafe"), std::string::npos) << policy;
  }
  EXPECT_NE(find_page_file("/")->content.find("<!doctype html>"), std::string_view::npos);
}

TEST(Page, AsksNobodyElse) {
  for (const PageFile& file : page_files()) {
    if (file.path == "/icon.svg") continue;  // its name space looks like an address
    EXPECT_EQ(file.content.find("http:"), std::string_view::npos) << file.path;
    EXPECT_EQ(file.content.find("https:"), std::string_view::npos) << file.path;
    EXPECT_EQ(file.content.find("innerHTML"), std::string_view::npos) << file.path;
  }
}

class PageInBrowser : public testing::Test {
 protected:
  void SetUp() override {
    program_ = testing_support::find_browser();
    if (!program_) GTEST_SKIP() << "Chromium is not installed (apt-get install chromium): the page was not looked at";
  }
  static ScriptedEngine::Options slowly(const std::string& text, int milliseconds) {
    ScriptedEngine::Options options;
    options.next = testing_support::saying(text);
    options.step = std::chrono::milliseconds(milliseconds);
    return options;
  }
  std::string address(const TestServer& server, const std::string& rest = "") const {
    return "http://127.0.0.1:" + std::to_string(server.port()) + "/" + rest;
  }
  std::optional<std::filesystem::path> program_;
};

constexpr const char* kAnswers = "[...document.querySelectorAll('.turn.assistant .text')].map(e => e.textContent)";
constexpr const char* kDone = "document.body?.dataset.state === 'done'";

TEST_F(PageInBrowser, StreamsAnAnswerWithProbabilities) {
  const std::string text = "A <b>kinglet</b> &amp; a caf\u00e9 \U0001F426.";
  const TestServer server(slowly(text, 1));
  Browser browser(*program_);
  browser.open_page(address(server, "?prompt=What%20is%20it%3F&seed=1"));
  ASSERT_TRUE(browser.wait_until(kDone));
  EXPECT_EQ(browser.evaluate(kAnswers)[0], text);  // shown as it is, not as HTML
  EXPECT_EQ(browser.evaluate("document.querySelector('.turn.user .text').textContent"), "What is it?");
  EXPECT_EQ(browser.evaluate("document.querySelector('.turn.assistant b') === null"), true);
  EXPECT_EQ(browser.evaluate("document.getElementById('model').textContent"), "scripted");
  const std::string facts = browser.evaluate("document.querySelector('.facts').textContent");
  EXPECT_NE(facts.find("tokens/s"), std::string::npos) << facts;
  EXPECT_NE(facts.find("first after"), std::string::npos) << facts;
  EXPECT_EQ(browser.evaluate("[...document.querySelectorAll('.token')].every(e => e.dataset.p > 0 && e.dataset.p < 1)"),
            true);
  // The mouse on a token shows what else might have come.
  const auto box = browser.evaluate(
      "(() => { const b = document.querySelector('.token').getBoundingClientRect(); "
      "return [b.x + b.width / 2, b.y + b.height / 2]; })()");
  browser.move_mouse(box[0], box[1]);
  EXPECT_TRUE(browser.wait_until("!document.getElementById('tip').hidden"));
  EXPECT_EQ(browser.evaluate("document.querySelectorAll('#tip tr').length"), 5);
  EXPECT_EQ(browser.evaluate("document.querySelectorAll('#tip tr.taken').length"), 1);
}

TEST_F(PageInBrowser, KeyboardAloneWillDo) {
  const TestServer server(slowly("Yes.", 1));
  Browser browser(*program_);
  browser.open_page(address(server));
  ASSERT_TRUE(browser.wait_until("document.activeElement?.id === 'prompt'"));
  browser.type("Are you there?");
  browser.press("Enter", "\r");
  ASSERT_TRUE(browser.wait_until(kDone));
  EXPECT_EQ(browser.evaluate(kAnswers)[0], "Yes.");
  browser.evaluate("document.querySelector('.tokens').focus()");
  browser.press("ArrowRight");
  browser.press("ArrowRight");
  EXPECT_TRUE(browser.wait_until("document.querySelector('.token.chosen') && !document.getElementById('tip').hidden"));
}

TEST_F(PageInBrowser, StopButtonEndsTheSequence) {
  const TestServer server(slowly(std::string(3000, 'z'), 10));
  Browser browser(*program_);
  browser.open_page(address(server, "?prompt=go&max_tokens=400"));
  ASSERT_TRUE(browser.wait_until("document.querySelectorAll('.token').length > 3"));
  browser.evaluate("document.getElementById('stop').click()");
  ASSERT_TRUE(browser.wait_until(kDone));
  EXPECT_NE(std::string(browser.evaluate("document.querySelector('.facts').textContent")).find("stopped"),
            std::string::npos);
  for (int i = 0; i < 200 && server.service.open_sequences() > 0; ++i) usleep(10'000);
  EXPECT_EQ(server.service.open_sequences(), 0);
}

TEST_F(PageInBrowser, ContinuesAText) {
  const TestServer server;
  Browser browser(*program_);
  browser.open_page(address(server, "?prompt=a&mode=text&max_tokens=5"));
  ASSERT_TRUE(browser.wait_until(kDone));
  EXPECT_EQ(browser.evaluate(kAnswers)[0], "abcdef");
}

TEST_F(PageInBrowser, ShowsAForestThatGrows) {
  const TestServer server(slowly("Let me <b>see</b>. The answer is 12", 20));
  Browser browser(*program_);
  browser.open_page(address(server, "?prompt=5%20and%207%3F&mode=reason&trees=3&seed=1"));
  ASSERT_TRUE(
      browser.wait_until("document.querySelector('.tree.growing .writing')?.textContent.startsWith('answer:')"));
  ASSERT_TRUE(browser.wait_until(kDone));
  EXPECT_EQ(browser.evaluate(kAnswers)[0], "Let me <b>see</b>. The answer is 12");
  EXPECT_EQ(browser.evaluate("document.querySelector('.turn.assistant b') === null"), true);
  const std::string title = browser.evaluate("document.querySelector('.forest summary').textContent");
  EXPECT_TRUE(title.starts_with("Decided by vote after 2 of 3 trees")) << title;
  EXPECT_EQ(browser.evaluate("document.querySelectorAll('.tree').length"), 2);
  EXPECT_EQ(browser.evaluate("document.querySelector('.unborn').textContent"), "1 more tree was not needed");
  EXPECT_EQ(browser.evaluate("document.querySelector('.vote.first').textContent"), "2 of 2: 12");
  ASSERT_TRUE(browser.wait_until("document.querySelectorAll('.tree circle.won').length >= 2"));
  EXPECT_EQ(browser.evaluate("document.querySelectorAll('.tree.growing').length"), 0);
}

TEST_F(PageInBrowser, ShowsPrunedAndDroppedThoughtsOfAPuzzle) {
  ScriptedModel dice(fot::SimulatedModel(), ScriptedModel::Options{.name = "dice", .replies_per_poll = 1});
  const testing_support::ProxyServer server(dice);
  Browser browser(*program_);
  browser.open_page("http://127.0.0.1:" + std::to_string(server.port()) +
                    "/?prompt=4%209%2010%2013&task=game24&trees=8&seed=3");
  ASSERT_TRUE(browser.wait_until(kDone));
  EXPECT_EQ(browser.evaluate("document.getElementById('mode').value"), "reason");  // it does nothing else
  ASSERT_TRUE(browser.wait_until("document.querySelectorAll('.tree circle.won').length >= 3"));
  EXPECT_GT(browser.evaluate("document.querySelectorAll('circle.cut').length").get<int>(), 3);
  EXPECT_GT(browser.evaluate("document.querySelectorAll('circle.fixed').length").get<int>(), 0);
  EXPECT_EQ(browser.evaluate("document.querySelector('.picture text').textContent"), "4 9 10 13");
}

TEST_F(PageInBrowser, ErrorsAreShown) {
  ApiOptions api;
  api.api_key = "secret";
  const TestServer server(slowly("Yes.", 0), api);
  Browser browser(*program_);
  browser.open_page(address(server, "?prompt=hello"));
  ASSERT_TRUE(browser.wait_until("document.querySelector('.problem')"));
  EXPECT_EQ(browser.evaluate("document.activeElement.id"), "prompt");
  browser.evaluate("document.getElementById('key').value = 'secret'");
  browser.press("Enter", "\r");
  ASSERT_TRUE(browser.wait_until("document.querySelectorAll('.turn.assistant').length === 2 && " + std::string(kDone)));
  EXPECT_EQ(browser.evaluate(kAnswers)[1], "Yes.");
}

}  // namespace
}  // namespace kinglet
