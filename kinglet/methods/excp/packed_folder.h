// A model's folder as a chain of two containers that can be a part of a program: a key frame of its files with all
// weights zero, and the weights as the difference to it. So even a single model has the codebooks and the entropy
// coding of a delta.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "kinglet/base/files.h"
#include "kinglet/methods/excp/options.h"

namespace kinglet::excp {

inline constexpr const char* kPackedKey = "key.step";
inline constexpr const char* kPackedWeights = "weights.step";

// Writes the two containers into the new folder `out`, atomically, and reads them back. Returns their bytes together.
// Raises Error as Store::add does.
std::uint64_t pack_folder(const std::filesystem::path& folder, const std::filesystem::path& out,
                          const Options& options);

// Writes the folder that the containers hold to `out`, which must be new; atomic. containers: the key frame first, kept
// alive by the caller. `name`: what stands in errors. Raises Error (bad input) where a checksum or a number disagrees,
// Error (failed) when they do not belong together.
void unpack_folder(std::span<const ByteView> containers, const std::string& name, const std::filesystem::path& out);

}  // namespace kinglet::excp
