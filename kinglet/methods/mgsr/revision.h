// SCRG, sequence correction and re-generation (paper 2407.10068, Eq. 2-4): one wrong token of a response that the
// student wrote becomes the teacher's, and the student goes on from there.
//
// For each token of a response the teacher, behind the student's own words, says which token it would have written
// (one pass, no generation). Where that differs from the student's, the token is a candidate; the error token is the
// candidate at which the two distributions are furthest apart.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kinglet/methods/mgsr/example.h"

namespace kinglet::mgsr {

// What a teacher thinks of each token of a response.
struct Judgement {
  std::vector<TokenId> teacher_tokens;
  std::vector<double> divergences;  // of teacher and student there
};

// The first candidate with the largest divergence; none when there is no candidate, or none with a divergence of 1e-6
// at least: equal models have nothing to correct.
std::optional<std::size_t> error_token(const std::vector<TokenId>& response, const Judgement& judgement);

// The two models that a revision needs.
class RevisionModels {
 public:
  virtual ~RevisionModels() = default;
  // Judges the responses; teacher tokens may be drawn with random numbers of `stream`.
  virtual std::vector<Judgement> judge(const std::vector<Example>& examples, std::uint64_t stream) = 0;
  // The student writes on behind prompt and response of each example, up to its end of text (included) or `room[i]`
  // tokens; with random numbers of `stream`.
  virtual std::vector<std::vector<TokenId>> go_on(const std::vector<Example>& examples,
                                                  const std::vector<std::int64_t>& room, std::uint64_t stream) = 0;
};

// How a revision chooses and continues; the last two are controls.
struct RevisionSettings {
  int rounds = 1;
  bool random_position = false;  // a random candidate instead of the worst
  bool keep_suffix = false;      // the student's own words stay behind the corrected token
};

struct RevisionReport {
  std::int64_t sequences = 0;  // rounds x sequences
  std::int64_t revised = 0;
  std::int64_t candidates = 0, tokens = 0;  // tokens that teacher and student write differently, of all
  double divergence = 0;                    // sum, at the error tokens
  double place = 0;                         // sum of j / L, j the place of the error token from 1, L the old length
  std::vector<std::int64_t> places = std::vector<std::int64_t>(10, 0);  // histogram of j / L
  void add(const RevisionReport& other);
};

// Revises the responses in place. `ends` are the tokens that end a text; `longest` the largest prompt and response
// together. Before the error token nothing changes. Every round draws from a stream of its own made of `stream`.
RevisionReport revise(std::vector<Example>& examples, RevisionModels& models, const RevisionSettings& settings,
                      const std::vector<TokenId>& ends, std::int64_t longest, std::uint64_t stream);

}  // namespace kinglet::mgsr
