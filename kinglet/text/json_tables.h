// A tokenizer.json as its large tables and the small rest, read in one pass without a tree of the tables.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kinglet {

struct JsonTables {
  nlohmann::json rest;          // all but model.vocab and model.merges
  bool has_vocabulary = false;  // model.vocab is an object: texts and ids
  std::vector<std::pair<std::string, std::int64_t>> vocabulary;
  bool has_scores = false;  // model.vocab is a list: texts and scores, in order of ids
  std::vector<std::pair<std::string, double>> scores;
  bool has_merges = false;
  std::vector<std::pair<std::string, std::string>> merges;  // from pairs or from "left right"
};

// Raises Error (bad input) that names `where` for text that is no JSON, is deeper than 64 levels or has other things in
// its tables. `divert` false: everything goes into `rest`.
JsonTables parse_json_tables(std::string_view text, std::string_view where, bool divert = true);

}  // namespace kinglet
