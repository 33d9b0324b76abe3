#include "kinglet/methods/star_agents/settings.h"

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/methods/star_agents/pair_probabilities.h"

namespace kinglet::star_agents {
namespace {

void refuse(bool wrong, std::string_view what, std::string_view remedy) {
  if (wrong) throw bad_input("", what, remedy);
}

}  // namespace

std::string pair_name(const Settings& settings, std::size_t pair) {
  const AgentPair& one = settings.pairs[pair];
  const InstructionAgent& instruction = settings.instruction_agents[one.instruction];
  const std::string& response = settings.response_agents[one.response].name;
  return instruction.rewrites() ? instruction.name + "+" + response : response;
}

std::vector<std::string> check_settings(const Settings& settings) {
  refuse(settings.pairs.empty(), "no agent pair to sample from", "add a [[response_agent]]");
  refuse(settings.draw.samples < 1, "no sample a seed", "set sampling.samples to 1 or more");
  refuse(settings.pairs.size() < settings.draw.samples,
         fmt::format("{} samples a seed from {} pairs; a seed draws different ones", settings.draw.samples,
                     settings.pairs.size()),
         "lower sampling.samples or add agents");
  refuse(settings.draw.retrieved > settings.draw.samples,
         fmt::format("{} of {} samples from the memory bank", settings.draw.retrieved, settings.draw.samples),
         "lower sampling.retrieved");
  refuse(settings.memory.neighbours < 1, "no neighbour to retrieve", "set sampling.neighbours to 1 or more");
  refuse(!(settings.beta > 0), fmt::format("an evolution rate beta of {}", settings.beta), "give a positive number");
  refuse(settings.wave < 1, "waves of no seed", "set run.wave to 1 or more");
  refuse(settings.reward_all && settings.lazy_judging && settings.judge,
         "rewarding every candidate needs every verdict", "set judge.lazy = false or sampling.reward = \"winner\"");
  PairProbabilities(settings.pairs.size(), settings.floor);  // checks the floor

  std::vector<std::string> warnings;
  if (settings.beta * static_cast<double>(settings.wave) > 0.05) {
    warnings.push_back(fmt::format("beta * wave = {:.3g} is above 0.05: probabilities lag behind what was learnt",
                                   settings.beta * static_cast<double>(settings.wave)));
  }
  if (settings.judge) {
    for (const ResponseAgent& agent : settings.response_agents) {
      if (agent.model == settings.judge->model) {
        warnings.push_back(
            fmt::format("model '{}' judges its own answers (agent '{}'): it may prefer them", agent.model, agent.name));
      }
    }
  }
  return warnings;
}

}  // namespace kinglet::star_agents
