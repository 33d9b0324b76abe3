// A judge's reply: nothing that stands behind the last verdict but text without a verdict changes it.
#include <string>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/methods/star_agents/answer_check.h"
#include "kinglet/methods/star_agents/judge.h"

namespace kinglet::fuzz {
namespace {

using namespace star_agents;

void check_verdict(ByteView input) {
  const std::string text(as_text(input));
  const auto verdict = parse_verdict(text);
  require(parse_verdict(text + "\n[[B]]") == Verdict::kSecond, "the last verdict counts");
  require(parse_verdict(text + "\n[[ c ]] so far") == Verdict::kTie, "blanks and small letters are allowed");
  if (verdict && text.find("[[") != std::string::npos && text.find('{') == std::string::npos) {
    require(parse_verdict(text + "\n.") == verdict, "text behind a verdict does not change it");
  }
  const JudgePrompt prompt = judge_prompt({text, text}, {text, "other"});
  require(prompt.user.find(text) != std::string::npos, "a prompt holds its answers");
  problem_of_answer(text, "question");
  problem_of_rewriting(text, "question");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(verdict, kinglet::fuzz::check_verdict)
