// What a decoder costs on paper: multiply-adds, and the bytes that one token makes a processor read. Without LibTorch.
#pragma once

#include <cstdint>
#include <string>

#include "kinglet/models/decoder/config.h"

namespace kinglet {

// Of one call on a sequence of `tokens`. One multiply-add counts as one.
struct ModelCost {
  std::string model_type;
  std::int64_t tokens = 0;
  std::int64_t layers = 0;
  double block = 0;      // multiply-adds of the projections of a layer, or of its tables and hashes
  double attention = 0;  // of scores and mixing in a layer, every query meeting every key, as papers count
  double head = 0;       // of the logits of all tokens
  double total() const { return static_cast<double>(layers) * (block + attention) + head; }

  std::int64_t parameters = 0;
  std::int64_t table_elements = 0;  // of all layers; 0: no tables
  double element_bytes = 4;         // of the stored weights, but for tables
  double table_element_bytes = 4;
  double bytes = 0;        // of everything that is stored
  double table_bytes = 0;  // of that in tables, with the factors of int8 rows
  // A token alone (decoding, without the cache of keys and values): weights or table rows of all layers, and the head.
  double elements_a_token = 0;
  double layer_bytes_a_token = 0;
  double head_elements = 0;
  double head_bytes() const { return head_elements * element_bytes; }
};

// Bytes of a number of config.json's torch_dtype; 4 for what is not known.
double bytes_of_dtype(const std::string& dtype);

ModelCost decoder_cost(const DecoderConfig& config, std::int64_t tokens);

}  // namespace kinglet
