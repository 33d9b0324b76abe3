// Templates of published models and small expressions, compared with what transformers' Jinja environment renders.
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "kinglet/base/error.h"
#include "kinglet/text/chat_template.h"

namespace kinglet {
namespace {

Json golden_text(std::string_view name) {
  std::ifstream file(std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text" / name);
  return Json::parse(file);
}

class InUtc : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

using ChatTemplateGolden = InUtc;

TEST_F(ChatTemplateGolden, ModelsRenderAsInTransformers) {
  const Json golden = golden_text("chat_templates.json");
  std::map<std::string, ChatTemplate> templates;
  for (const auto& [name, one] : golden["templates"].items()) {
    ChatTemplate parsed = ChatTemplate::parse(one["source"].get<std::string>(), name);
    for (const auto& [role, token] : one["tokens"].items()) parsed.set_special_token(role, token.get<std::string>());
    templates.emplace(name, std::move(parsed));
  }
  ASSERT_GE(templates.size(), 10U);
  for (const Json& one : golden["cases"]) {
    SCOPED_TRACE(one["template"].get<std::string>() + ", " + one["conversation"].get<std::string>());
    ChatOptions options;
    options.add_generation_prompt = one["prompt"].get<bool>();
    options.now = golden["now"].get<std::time_t>();
    if (one.contains("tools")) options.tools = one["tools"];
    if (one.contains("extra")) options.extra = one["extra"];
    const ChatTemplate& chat = templates.at(one["template"].get<std::string>());
    const Json& messages = golden["conversations"][one["conversation"].get<std::string>()];
    try {
      const std::string text = chat.render(messages, options);
      ASSERT_TRUE(one.contains("text")) << "should be refused: " << one["error"] << "\nrendered: " << text;
      EXPECT_EQ(text, one["text"].get<std::string>());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
      ASSERT_TRUE(one.contains("error")) << error.what();
      if (one["raised"].get<bool>()) {
        EXPECT_NE(std::string(error.what()).find(printable(one["error"].get<std::string>())), std::string::npos)
            << error.what();
      }
    }
  }
}

TEST_F(ChatTemplateGolden, ExpressionsAndBlocksGiveWhatJinjaGives) {
  const Json golden = golden_text("chat_expressions.json");
  ChatOptions options;
  options.now = golden["now"].get<std::time_t>();
  options.extra = golden["context"];
  ASSERT_GE(golden["cases"].size(), 200U);
  for (const Json& one : golden["cases"]) {
    const auto source = one[0].get<std::string>();
    SCOPED_TRACE(source);
    try {
      const std::string text = ChatTemplate::parse(source).render(Json::array(), options);
      if (one[1].is_null())
        ADD_FAILURE() << "should be refused: " << one[2] << "\nrendered: " << text;
      else
        EXPECT_EQ(text, one[1].get<std::string>());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
      EXPECT_TRUE(one[1].is_null()) << error.what() << "\nexpected: " << one[1];
    }
  }
}

}  // namespace
}  // namespace kinglet
