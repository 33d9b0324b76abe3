#include "kinglet/methods/star_agents/agents.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "kinglet/methods/star_agents/answer_check.h"

namespace kinglet::star_agents {
namespace {

struct NamedRewriting {
  std::string_view name;
  Rewriting rewriting;
  std::string_view task;  // what the agent is told
};

constexpr std::array kRewritings{
    NamedRewriting{"constraint", Rewriting::kConstraint,
                   "Add one more condition or requirement that a good answer has to meet."},
    NamedRewriting{"deepen", Rewriting::kDeepen, "Where it asks about a topic, ask about it more deeply and widely."},
    NamedRewriting{"concrete", Rewriting::kConcrete,
                   "Put more specific things in the place of the general ones that it speaks of."},
    NamedRewriting{"reasoning", Rewriting::kReasoning,
                   "If a few simple steps of thought solve it, make it demand several steps of reasoning."},
    NamedRewriting{"complicate", Rewriting::kComplicate,
                   "Let it bring data of its own to work on: a table, a piece of code, JSON or a formula."},
    NamedRewriting{"breadth", Rewriting::kBreadth,
                   "Do not change it: invent a new one of the same field, about as long and as hard, that people ask "
                   "more rarely."},
};
constexpr std::size_t kDepthOperators = 5;  // those that "any" picks from

const NamedRewriting& entry_of(Rewriting rewriting, Rng& rng) {
  if (rewriting == Rewriting::kAny) return kRewritings[rng.below(kDepthOperators)];
  return *std::find_if(kRewritings.begin(), kRewritings.end(),
                       [&](const NamedRewriting& one) { return one.rewriting == rewriting; });
}

std::string rewriting_prompt(const NamedRewriting& entry, std::string_view instruction) {
  return fmt::format(
      "You write instructions that are a challenge even for strong chat models. Below is a given instruction. Turn it "
      "into a new one.\n{}\nThe new instruction must make sense and be answerable by a person. Tables, code and input "
      "that it carries must stay. It may be about 10 to 20 words longer, no more. Write nothing but the new "
      "instruction, and none of these labels.\n\n{}\n{}\n\n{}\n",
      entry.task, kOriginalLabel, instruction, kRewrittenLabel);
}

void set_sampling(ChatRequest& request, const Sampling& sampling) {
  request.temperature = sampling.temperature;
  request.top_p = sampling.top_p;
  request.max_tokens = sampling.max_tokens;
  request.stop = sampling.stop;
}

}  // namespace

std::optional<Rewriting> rewriting_of_name(std::string_view name) {
  if (name == "none") return Rewriting::kNone;
  if (name == "any") return Rewriting::kAny;
  for (const NamedRewriting& one : kRewritings) {
    if (one.name == name) return one.rewriting;
  }
  return std::nullopt;
}

std::vector<std::string> rewriting_names() {
  std::vector<std::string> names{"any"};
  for (const NamedRewriting& one : kRewritings) names.emplace_back(one.name);
  return names;
}

std::string fill_template(std::string_view text, const TemplateValues& values) {
  const std::array<std::pair<std::string_view, std::string_view>, 3> fields{
      {{"{instruction}", values.instruction},
       {"{rewritten_instruction}", values.rewritten_instruction},
       {"{seed_response}", values.seed_response}}};
  std::string result;
  while (!text.empty()) {
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const auto& one) { return text.starts_with(one.first); });
    if (field != fields.end()) {
      result += field->second;
      text.remove_prefix(field->first.size());
    } else {
      result += text.front();
      text.remove_prefix(1);
    }
  }
  return result;
}

ChatRequest rewriting_request(const InstructionAgent& agent, const Seed& seed, Rng& rng) {
  ChatRequest request;
  std::string prompt = agent.prompt.empty()
                           ? rewriting_prompt(entry_of(agent.rewriting, rng), seed.instruction())
                           : fill_template(agent.prompt, {seed.instruction(), seed.instruction(), seed.response});
  request.messages.push_back({"user", std::move(prompt)});
  set_sampling(request, agent.sampling);
  return request;
}

ChatRequest answer_request(const ResponseAgent& agent, const Seed& seed, std::string_view instruction) {
  ChatRequest request;
  request.messages = seed.context;
  request.messages.back().content = agent.prompt.empty()
                                        ? std::string(instruction)
                                        : fill_template(agent.prompt, {seed.instruction(), instruction, seed.response});
  if (!agent.system.empty()) {
    if (request.messages.front().role == "system")
      request.messages.front().content = agent.system;
    else
      request.messages.insert(request.messages.begin(), {"system", agent.system});
  }
  set_sampling(request, agent.sampling);
  return request;
}

}  // namespace kinglet::star_agents
