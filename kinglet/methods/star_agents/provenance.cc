#include "kinglet/methods/star_agents/provenance.h"

#include <optional>
#include <string>

namespace kinglet::star_agents {
namespace {

Json likelihoods_json(const Likelihoods& likelihoods) {
  if (!likelihoods.scored()) return {{"status", name_of(likelihoods.status)}};
  Json json = {{"cond", likelihoods.conditional}, {"unc", likelihoods.unconditional}, {"tokens", likelihoods.tokens}};
  if (const auto ifd = ifd_perplexity(likelihoods)) json["ifd"] = *ifd;
  if (likelihoods.truncated) json["truncated"] = true;
  return json;
}

// From the candidate's point of view.
std::string verdict_name(const std::optional<Verdict>& verdict, bool candidate_first) {
  if (!verdict) return "none";
  const double score = judge_score(*verdict, candidate_first);
  return score == 1 ? "win" : score == 0 ? "loss" : "tie";
}

bool nothing_came(const CandidateOutcome& winner) { return !winner.pair && !winner.problem.empty(); }

}  // namespace

Json provenance_of(const Settings& settings, const Seed& seed, const CandidateOutcome& candidate) {
  Json json = {{"seed_id", seed.id}};
  const bool from_seed = !candidate.pair && (candidate.model == "seed" || !candidate.problem.empty());
  json["source"] = candidate.pair ? "pair" : from_seed ? "seed" : "base";
  if (from_seed) {
    if (candidate.model != "seed") return json;  // nothing is known of an answer that did not come
  } else {
    const ResponseAgent& agent =
        settings.response_agents[candidate.pair ? settings.pairs[*candidate.pair].response : *settings.base_agent];
    json["pair"] = candidate.pair ? pair_name(settings, *candidate.pair) : agent.name;
    json["model"] = candidate.model;
    if (!candidate.fingerprint.empty()) json["fingerprint"] = candidate.fingerprint;
    if (!agent.licence.empty()) json["licence"] = agent.licence;
  }
  if (settings.fit != Fit::kNone) {
    json["small"] = likelihoods_json(candidate.small);
    if (settings.fit == Fit::kDual) json["large"] = likelihoods_json(candidate.large);
    if (candidate.gap) json["gap"] = *candidate.gap;
  }
  json["dual"] = candidate.dual;
  if (candidate.judge) json["judge"] = *candidate.judge;
  if (candidate.shown_first || candidate.shown_second) {
    json["verdicts"] = {{"shown_first", verdict_name(candidate.shown_first, true)},
                        {"shown_second", verdict_name(candidate.shown_second, false)}};
  }
  json["composite"] = candidate.composite;
  if (candidate.pair) json["p"] = candidate.probability;
  if (!candidate.finish_reason.empty()) json["finish_reason"] = candidate.finish_reason;
  if (!candidate.slot.empty()) {
    json["usage"] = {{"prompt_tokens", candidate.usage.prompt}, {"completion_tokens", candidate.usage.completion}};
    if (candidate.usage.estimated) json["usage"]["estimated"] = true;
    json["slot"] = candidate.slot;
  }
  return json;
}

Json candidate_record(const Settings& settings, const Seed& seed, const SeedOutcome& outcome, std::size_t candidate) {
  const CandidateOutcome& one = outcome.candidates[candidate];
  Json json = {{"seed_id", seed.id},
               {"chosen", outcome.choice.winner == candidate},
               {"instruction", one.instruction},
               {"response", one.response}};
  if (!one.problem.empty()) json["problem"] = one.problem;
  json.update(provenance_of(settings, seed, one));
  return json;
}

Json kept_record(const Settings& settings, const Seed& seed, const SeedOutcome& outcome, DocumentFormat file_format,
                 DocumentFormat format, bool with_provenance) {
  const CandidateOutcome& winner = outcome.winner();
  const bool as_it_was = nothing_came(winner);
  Json record = refined_record(seed, file_format, format, as_it_was ? seed.instruction() : winner.instruction,
                               as_it_was ? seed.response : winner.response);
  if (with_provenance) record["provenance"] = provenance_of(settings, seed, winner);
  return record;
}

}  // namespace kinglet::star_agents
