// The tables of a MemoryFormer that is loaded for use: read where they lie in the file, or from a copy of their own.
//
// Rows of a file lie as the look-up reads them (TableLayout::kRows), so tables of the wanted number type, lowest bit
// first and at an address that suits their elements can stay in its mapping. Everything else is copied.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kinglet/io/model_weights.h"
#include "kinglet/methods/memoryformer/config.h"
#include "kinglet/methods/memoryformer/memory_projection.h"
#include "kinglet/models/decoder/decoder.h"
#include "kinglet/models/decoder/model_folder.h"

namespace kinglet {

enum class TablePlace : std::uint8_t {
  kFile,    // in the file, where they can
  kMemory,  // a copy in huge pages: slower to load, hardly faster to read (docs/memoryformer.md)
};

struct TableUse {
  TablePlace place = TablePlace::kFile;
  // Gigabytes (1e9 bytes): what counts as free, and what a copy of the tables may take at most. 0: as this machine is.
  double free_gb = 0.0;
  double most_gb = 0.0;
  // The tables are read once from front to back (to write them as others): no page is asked for early.
  bool once = false;
};

// A projection and the name of its tables in the file.
struct StoredTables {
  std::string name;
  std::shared_ptr<MemoryProjection> projection;
};
// In the order of the file.
std::vector<StoredTables> stored_tables(const Decoder& decoder);

// The factors of int8 rows beside their tables.
std::string scale_name(const std::string& tables);

// Gives every projection its tables, of the type that `type` says (int8 tables stay int8), and keeps `weights` for
// those that stay in the file. Returns the names of the tensors. Raises Error (bad input) naming the tensor that is
// missing, of another type or shape, or has a factor that is negative or not finite; and for a copy that the machine
// has no memory for. When tables in the file are larger than what is free it warns, with the part that is in memory.
std::set<std::string> load_tables(const std::shared_ptr<const ModelWeights>& weights, const MemoryFormerConfig& config,
                                  WeightType type, const TableUse& use, const Decoder& decoder);
// Raises Error (bad input) for tables of another type than config.json says, before anything is loaded.
void check_table_types(const ModelWeights& weights, const MemoryFormerConfig& config, const Decoder& decoder);

// Writes a folder with int8 tables, rounded from those of `decoder`, and everything else in bf16. Raises Error (bad
// input) for tables that are int8 already or have a number that is not finite.
void save_with_int8_tables(const std::filesystem::path& folder, const Decoder& decoder,
                           std::uint64_t shard_bytes = kShardBytes);

}  // namespace kinglet
