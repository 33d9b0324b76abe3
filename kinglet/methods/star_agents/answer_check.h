// Answers and rewritten instructions that must not become training data, whatever a scorer says of them.
#pragma once

#include <string>
#include <string_view>

namespace kinglet::star_agents {

// Why an answer to `instruction` cannot be used: "empty", "repeats_instruction", "template_label", "refusal"; empty
// when it can.
std::string problem_of_answer(std::string_view answer, std::string_view instruction);

// The same for an instruction that an agent has rewritten: "empty", "unchanged", "template_label", "no_words".
std::string problem_of_rewriting(std::string_view rewritten, std::string_view original);

// Labels of our own prompts; a model that prints one has answered the prompt instead of following it.
inline constexpr std::string_view kOriginalLabel = "### Given instruction";
inline constexpr std::string_view kRewrittenLabel = "### New instruction";

}  // namespace kinglet::star_agents
