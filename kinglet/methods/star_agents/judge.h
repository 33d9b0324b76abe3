// A judge model compares a candidate with the base answer (Star-Agents, eq. 6 and appendix A.1): its prompt, and how
// its reply is read.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kinglet::star_agents {

enum class Verdict { kFirst, kSecond, kTie };  // [[A]], [[B]], [[C]]

struct JudgedAnswer {
  std::string_view question;  // both may be the same
  std::string_view answer;
};

struct JudgePrompt {
  std::string system;
  std::string user;
};

// Answers stand between markers that carry a number made from all the texts, so that no answer can close its own block.
// One question is shown when both have the same, else each answer has its own.
JudgePrompt judge_prompt(const JudgedAnswer& first, const JudgedAnswer& second);

// The last verdict token of the reply: an explanation may mention others before it. Blanks inside the brackets and
// small letters are allowed. A reply that is a JSON object with a text "verdict" is read as well. Nothing when there is
// none.
std::optional<Verdict> parse_verdict(std::string_view reply);

// The candidate's score from both orders: 1 when it wins both, 0 when it loses both, else 0.5 (position bias counts as
// a tie). `candidate_first`: it was answer A.
double judge_score(Verdict candidate_first, Verdict candidate_second);
// From one order.
double judge_score(Verdict verdict, bool candidate_is_first);

}  // namespace kinglet::star_agents
