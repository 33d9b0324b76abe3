// The merges of a SentencePiece BPE.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "kinglet/text/bpe.h"

namespace kinglet {

// SentencePiece's BPE has no list of merges: any two neighbours that make an entry together may merge, the entry with
// the highest score first. Here every way to cut an entry into two entries becomes a merge, ranked by the entry's
// score. scores: by id, as long as the vocabulary. `takes_part`: whether an entry may be merged or be the result.
// Raises Error (bad input) for a score that is not finite.
MergeTable merges_by_score(const Vocabulary& vocabulary, const std::vector<double>& scores,
                           const std::function<bool(TokenId)>& takes_part, std::string_view where);

}  // namespace kinglet
