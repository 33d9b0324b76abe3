// Agents: models that rewrite an instruction or answer one, each with its prompt and its sampling settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/base/rng.h"
#include "kinglet/llm/chat_request.h"
#include "kinglet/methods/star_agents/seeds.h"

namespace kinglet::star_agents {

struct Sampling {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::int64_t> max_tokens;
  std::vector<std::string> stop;  // texts that end a reply and are no part of it; for models that know no end
};

// How an instruction is made harder (after Evol-Instruct, Xu et al. 2023).
enum class Rewriting { kNone, kConstraint, kDeepen, kConcrete, kReasoning, kComplicate, kBreadth, kAny };
std::optional<Rewriting> rewriting_of_name(std::string_view name);
std::vector<std::string> rewriting_names();

struct InstructionAgent {
  std::string name = "identity";
  std::string model;  // empty: keeps the instruction as it is
  Rewriting rewriting = Rewriting::kNone;
  std::string prompt;  // in place of a rewriting: a template with {instruction}, {seed_response}
  Sampling sampling;

  bool rewrites() const { return !model.empty(); }
};

struct ResponseAgent {
  std::string name;
  std::string model;
  std::string system;  // in place of the seed's system message
  std::string prompt;  // a template for the last user message; empty: the instruction
  Sampling sampling;
  std::string licence;  // of what the model writes; goes to the provenance
};

// An instruction agent with a response agent, by their places in their lists.
struct AgentPair {
  std::size_t instruction = 0;
  std::size_t response = 0;
};

// {instruction}, {rewritten_instruction} and {seed_response} are filled in; other braces stay. What is filled in is not
// searched again.
struct TemplateValues {
  std::string_view instruction, rewritten_instruction, seed_response;
};
std::string fill_template(std::string_view text, const TemplateValues& values);

// The request without slot, role and priority. `rng` picks the operator of Rewriting::kAny.
ChatRequest rewriting_request(const InstructionAgent& agent, const Seed& seed, Rng& rng);
// `instruction`: the rewritten one, or the seed's.
ChatRequest answer_request(const ResponseAgent& agent, const Seed& seed, std::string_view instruction);

}  // namespace kinglet::star_agents
