// Where a kept answer comes from, written beside it; and the candidates that were not kept, which are paid data: chosen
// and rejected ones make a preference set.
#pragma once

#include "kinglet/methods/star_agents/refine.h"

namespace kinglet::star_agents {

// {"seed_id", "source": "pair" | "base" | "seed", "pair", "model", "fingerprint", "licence", "small": {"cond", "unc",
// "tokens", "ifd"}, "large", "gap", "dual", "judge", "verdicts", "composite", "p", "finish_reason", "usage", "slot"};
// what does not apply is left out.
Json provenance_of(const Settings& settings, const Seed& seed, const CandidateOutcome& candidate);

// A line of candidates.jsonl: {"seed_id", "chosen", "instruction", "response", "problem", ...provenance}.
Json candidate_record(const Settings& settings, const Seed& seed, const SeedOutcome& outcome, std::size_t candidate);

// A line of the refined file, in `format`. Where nothing came of a seed, the seed's own record.
Json kept_record(const Settings& settings, const Seed& seed, const SeedOutcome& outcome, DocumentFormat file_format,
                 DocumentFormat format, bool with_provenance);

}  // namespace kinglet::star_agents
