// Whether the tables of a MemoryFormer are in use (paper, figure 4): the method's health.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kinglet/models/decoder/decoder.h"

namespace kinglet {

// Of the tables behind one hash.
struct TableHealth {
  std::string place;  // "layers.0.attention", "layers.0.ffn.up", "layers.0.ffn.down"
  std::int64_t tables = 0;
  int bits = 0;
  double entropy = 0.0;        // bits, mean over the tables: `bits` when every row is read equally often
  double least_entropy = 0.0;  // of the worst table
  double dead = 0.0;           // part of the rows that no token read
  double mean_p = 0.0;         // the softmax's probability of the chosen row
};

// What happens in the tables while `run` works the decoder. No health for models without tables.
std::vector<TableHealth> table_health(const Decoder& decoder, const std::function<void()>& run);

// The log of a run: for each kind of table (attention, up, down) the mean over the layers, under
// "tables/attention/entropy", ".../least_entropy", ".../dead", ".../mean_p"; entropies as parts of their bits.
std::vector<std::pair<std::string, double>> summary_of(const std::vector<TableHealth>& health);

}  // namespace kinglet
