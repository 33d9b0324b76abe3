// Chat templates: hostile ones, refused conversations, where replies stand, model folders.
#include "kinglet/text/chat_template.h"

#include <chrono>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::put;
using testing_support::refusal;
using testing_support::TemporaryFolder;

std::string rendered(const std::string& source, const Json& messages = Json::array()) {
  return ChatTemplate::parse(source).render(messages);
}

Json golden_templates() {
  std::ifstream file(std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text/chat_templates.json");
  return Json::parse(file);
}

ChatTemplate golden_template(const Json& golden, const std::string& name) {
  const Json& one = golden["templates"][name];
  ChatTemplate result = ChatTemplate::parse(one["source"].get<std::string>(), name);
  for (const auto& [role, token] : one["tokens"].items()) result.set_special_token(role, token.get<std::string>());
  return result;
}

std::vector<std::string> replies_of(const ChatTemplate& chat, const Json& messages, const ChatOptions& options = {}) {
  const RenderedChat result = chat.render_with_spans(messages, options);
  std::vector<std::string> replies;
  for (const ByteRange& range : result.replies) {
    replies.push_back(result.text.substr(range.begin, range.end - range.begin));
  }
  return replies;
}

// ---- hostile templates -----------------------------------------------------------------------------------------

TEST(ChatTemplateLimits, EveryBombEndsWithAnErrorInTime) {
  const std::string doubling =
      "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
  const std::string shared =
      "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  const std::vector<std::string> bombs = {
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% for a in range(99999) %}{% for b in range(99999) %}{{ 'x' * 1000 }}{% endfor %}{% endfor %}",
      doubling + "{{ ns.x | length }}",
      shared + "{{ ns.x }}",
      shared + "{{ ns.x | tojson }}",
      "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
      "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
      "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}",
      "{% set ns = namespace(x=1) %}{% for i in range(9999) %}{% set ns.x = [ns.x].index %}{% endfor %}",
      "{{ 'x' * 1000000000000 }}",
      "{{ [1] * 1000000000000 }}",
      "{{ 'ab' | center(1000000000000) }}",
      "{{ '%99999s' * 9999 % ('x',) }}",
      "{{ 'a' | replace('', 'x' * 99999999) | replace('', 'y' * 99999999) }}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
      "{% for i in range(99999) %}{% for j in range(99999) %}{% macro f() %}{% endmacro %}{% endfor %}{% endfor %}",
      "{{ range(99999) | map('string') | join | replace('1', 'x' * 9999) | length }}",
      "{{ 9 ** 9 ** 9 }}",
      "{{ 2 ** 63 }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ (-9223372036854775807 - 1) // -1 }}",
      "{{ -(-9223372036854775807 - 1) }}",
      "{{ 10000 ** -99999999999 / 0 }}",
  };
  for (const std::string& bomb : bombs) {
    SCOPED_TRACE(bomb);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_NE(refusal([&] { rendered(bomb); }), "");
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  }
}

TEST(ChatTemplateLimits, DeepSourcesAreRefused) {
  const std::string many(100000, '(');
  std::string blocks, chain = "{{ 1", negations = "{{ ";
  for (int i = 0; i < 5000; ++i) {
    blocks += "{% if 1 %}";
    chain += " + 1";
    negations += "not ";
  }
  for (const std::string& source : {"{{ " + many, "{{ " + std::string(5000, '[') + std::string(5000, ']') + " }}",
                                    "{{ " + std::string(5000, '-') + "1 }}", blocks, chain + " }}", negations + "1 }}",
                                    "{% set " + many, "{% for " + many}) {
    EXPECT_NE(refusal([&] { rendered(source); }), "") << source.substr(0, 20);
  }
}

TEST(ChatTemplateLimits, DeepConversationsAreRefused) {
  Json deep = "x";
  for (int i = 0; i < 200; ++i) deep = Json::array({deep});
  EXPECT_THAT(refusal([&] { rendered("{{ messages }}", Json::array({deep})); }), HasSubstr("nested"));
}

// ---- errors ----------------------------------------------------------------------------------------------------

TEST(ChatTemplate, ErrorsNameTheLine) {
  EXPECT_THAT(refusal([] { ChatTemplate::parse("a\nb {{ }", "model/chat_template.jinja"); }),
              HasSubstr("model/chat_template.jinja, line 2"));
  EXPECT_THAT(refusal([] { rendered("a\n\n{{ messages[0].content.x }}"); }), HasSubstr("line 3"));
  EXPECT_THAT(refusal([] { rendered("{{ raise_exception('Roles must alternate') }}"); }),
              HasSubstr("Roles must alternate"));
  EXPECT_THAT(refusal([] { rendered("{{ messages.append(1) }}"); }), HasSubstr("append"));
  EXPECT_THAT(refusal([] { ChatTemplate::parse("\xFF"); }), HasSubstr("UTF-8"));
  EXPECT_THAT(refusal([] { rendered("", Json::object()); }), HasSubstr("not a list"));
}

TEST(ChatTemplate, InvalidUtf8InAConversationIsRefused) {
  EXPECT_THAT(refusal([] { rendered("{{ messages }}", Json::array({{{"content", "\xC3("}}})); }), HasSubstr("UTF-8"));
}

// ---- replies ---------------------------------------------------------------------------------------------------

TEST(ChatSpans, ChatMlRepliesEndWithTheirEndOfTurn) {
  const Json golden = golden_templates();
  const Json& turns = golden["conversations"]["turns"];
  EXPECT_THAT(replies_of(golden_template(golden, "qwen2_5"), turns), ElementsAre("1<|im_end|>\n", "2\n\n<|im_end|>\n"));
  EXPECT_THAT(replies_of(golden_template(golden, "chatml_generation"), turns),
              ElementsAre("1<|im_end|>", "2\n\n<|im_end|>"));
  EXPECT_THAT(replies_of(golden_template(golden, "llama3_1"), turns), ElementsAre("1<|eot_id|>", "2<|eot_id|>"));
  EXPECT_THAT(replies_of(golden_template(golden, "gemma3"), turns),
              ElementsAre("1<end_of_turn>\n", "2<end_of_turn>\n"));
  EXPECT_THAT(replies_of(golden_template(golden, "mistral_nemo"), turns), ElementsAre("1</s>", "2\n\n</s>"));
  EXPECT_THAT(replies_of(golden_template(golden, "deepseek_v3"), turns),
              ElementsAre("1<｜end▁of▁sentence｜>", "2\n\n<｜end▁of▁sentence｜>"));
}

TEST(ChatSpans, ATemplateThatDropsEarlierThoughtsStillGivesBothReplies) {
  const Json golden = golden_templates();
  const ChatTemplate qwen3 = golden_template(golden, "qwen3");
  const Json& thoughts = golden["conversations"]["thoughts"];
  EXPECT_THAT(replies_of(qwen3, thoughts), ElementsAre("4<|im_end|>\n", "<think>\nAgain.\n</think>\n\n6<|im_end|>\n"));
}

TEST(ChatSpans, EveryReplyOfEveryModelIsFound) {
  const Json golden = golden_templates();
  for (const auto& [name, source] : golden["templates"].items()) {
    if (name == "macros") continue;  // shows only the beginning of calls
    const ChatTemplate chat = golden_template(golden, name);
    for (const char* title : {"answered", "turns", "unicode"}) {
      SCOPED_TRACE(name + ", " + title);
      const Json& messages = golden["conversations"][title];
      const std::vector<std::string> replies = replies_of(chat, messages);
      std::size_t next = 0;
      for (const Json& message : messages) {
        if (message["role"] != "assistant") continue;
        std::string content = message["content"].get<std::string>();
        while (content.ends_with('\n')) content.pop_back();
        ASSERT_LT(next, replies.size());
        EXPECT_THAT(replies[next], HasSubstr(content));
        EXPECT_LE(replies[next].size(), content.size() + 60) << replies[next];
        ++next;
      }
      EXPECT_EQ(next, replies.size());
    }
  }
}

TEST(ChatSpans, TheSameWordsInAQuestionAreNotTheReply) {
  const Json golden = golden_templates();
  const Json messages = {{{"role", "user"}, {"content", "yes yes"}},
                         {{"role", "assistant"}, {"content", "yes"}},
                         {{"role", "user"}, {"content", "yes"}},
                         {{"role", "assistant"}, {"content", "yes"}}};
  for (const char* name : {"qwen2_5", "llama3_1", "llama3", "gemma3", "internlm2"}) {
    const ChatTemplate chat = golden_template(golden, name);
    const RenderedChat result = chat.render_with_spans(messages);
    ASSERT_EQ(result.replies.size(), 2U) << name;
    for (const ByteRange& range : result.replies) {
      EXPECT_EQ(result.text.substr(range.begin, 3), "yes") << name;
      EXPECT_THAT(
          result.text.substr(0, range.begin),
          testing::EndsWith(result.text.substr(0, result.replies[0].begin).substr(result.replies[0].begin - 10)))
          << name;
    }
  }
}

// ---- model folders ---------------------------------------------------------------------------------------------

TEST(ChatTemplateFolder, TheTemplateComesFromTheFirstFileThatHasOne) {
  const TemporaryFolder folder;
  EXPECT_FALSE(ChatTemplate::load(folder.path()).has_value());
  put(folder / "tokenizer_config.json",
      R"({"bos_token": {"content": "<b>"}, "eos_token": "<e>", "chat_template": "config {{ bos_token }}{{ eos_token }}"})");
  EXPECT_EQ(ChatTemplate::load(folder.path())->render(Json::array()), "config <b><e>");
  put(folder / "chat_template.json", R"({"chat_template": "packed {{ bos_token }}"})");
  EXPECT_EQ(ChatTemplate::load(folder.path())->render(Json::array()), "packed <b>");
  put(folder / "chat_template.jinja", "plain {{ bos_token }}\n");
  EXPECT_EQ(ChatTemplate::load(folder.path())->render(Json::array()), "plain <b>");
  ChatOptions options;
  options.bos_token = "<other>";
  EXPECT_EQ(ChatTemplate::load(folder.path())->render(Json::array(), options), "plain <other>");
}

TEST(ChatTemplateFolder, NamedTemplatesAreChosenByNameAndByTools) {
  const TemporaryFolder folder;
  put(folder / "tokenizer_config.json",
      R"({"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"},
                            {"name": "rag", "template": "documents"}]})");
  ChatOptions options;
  EXPECT_EQ(ChatTemplate::load(folder.path())->render(Json::array(), options), "plain");
  EXPECT_EQ(ChatTemplate::load(folder.path(), "rag")->render(Json::array(), options), "documents");
  options.tools = Json::array({Json::object()});
  EXPECT_EQ(ChatTemplate::load(folder.path())->render(Json::array(), options), "tools");
  EXPECT_THAT(refusal([&] { ChatTemplate::load(folder.path(), "other"); }), HasSubstr("default, tool_use, rag"));
}

TEST(ChatTemplateFolder, DamagedFilesAreRefused) {
  const TemporaryFolder folder;
  for (const char* content : {"{", "[]", R"({"chat_template": 5})", R"({"chat_template": [{"name": "default"}]})",
                              R"({"chat_template": "{{"})"}) {
    put(folder / "tokenizer_config.json", content);
    EXPECT_THAT(refusal([&] { ChatTemplate::load(folder.path()); }), HasSubstr("tokenizer_config.json")) << content;
  }
}

}  // namespace
}  // namespace kinglet
