// A judge's reply: nothing that stands behind the last verdict but text without a verdict changes it.
#include <string>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/methods/star_agents/answer_check.h"
#include "kinglet/methods/star_agents/judge.h"

namespace kinglet::fuzz {
namespace {

void check_verdict(ByteView input) {
  const std::string text(as_text(input));
  const auto verdict = star_agents::parse_verdict(text);
  require(star_agents::parse_verdict(text + "\n[[B]]") == star_agents::Verdict::kSecond, "the last verdict counts");
  require(star_agents::parse_verdict(text + "\n[[ c ]] so far") == star_agents::Verdict::kTie,
          "blanks and small letters are allowed");
  if (verdict && text.find("[[") != std::string::npos && text.find('{') == std::string::npos) {
    require(star_agents::parse_verdict(text + "\n.") == verdict, "text behind a verdict does not change it");
  }
  const star_agents::JudgePrompt prompt = star_agents::judge_prompt({text, text}, {text, "other"});
  require(prompt.user.find(text) != std::string::npos, "a prompt holds its answers");
  star_agents::problem_of_answer(text, "question");
  star_agents::problem_of_rewriting(text, "question");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(verdict, kinglet::fuzz::check_verdict)
