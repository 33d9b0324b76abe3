// The seed pairs of a run: instruction data in any of its shapes, one record a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/llm/chat_request.h"
#include "kinglet/text/documents.h"

namespace kinglet::star_agents {

struct Seed {
  std::string id;                    // from the content, so that it does not depend on the place in the file
  std::uint64_t line = 0;            // or the number of the element, in a JSON list; from 1
  std::vector<ChatMessage> context;  // everything before the answer; the last one is the user's instruction
  std::string response;              // the answer of the file; may be empty
  Json record;                       // as it stands in the file

  const std::string& instruction() const { return context.back().content; }
};

struct RejectedSeed {
  std::uint64_t line = 0;
  std::string reason;  // one line
};

struct SeedFile {
  DocumentFormat format = DocumentFormat::kDetect;
  std::vector<Seed> seeds;  // in the file's order
  std::vector<RejectedSeed> rejected;
  std::size_t duplicates = 0;  // left out, or kept with an id of their own
  std::string digest;          // of the file's bytes
};

struct SeedOptions {
  DocumentFormat format = DocumentFormat::kDetect;  // not kText, not kJsonText
  bool keep_duplicates = false;                     // seeds with the same instruction but for case and blanks
  bool single_turn = false;                         // reject conversations with several turns
  bool strict = false;                              // raise Error for the first bad record
  std::size_t limit = 0;                            // of seeds; 0: all
  std::size_t longest_record = std::size_t{1} << 20;
};

// JSON lines, or one JSON list of records. A bad record is rejected with its line, the others are read. Raises Error
// (bad input) for a file that holds no usable record, and for whatever `strict` asks for.
SeedFile read_seeds(const std::filesystem::path& path, const SeedOptions& options);
SeedFile parse_seeds(std::string_view bytes, const std::string& name, const SeedOptions& options);

// The record with another instruction and answer, in `format`. Other fields of the seed's record stay when `format` is
// that of the file; an alpaca record whose instruction changes loses its input, which the instruction now holds.
Json refined_record(const Seed& seed, DocumentFormat file_format, DocumentFormat format, std::string_view instruction,
                    std::string_view response);

// Elements of a JSON list, without reading them; `bytes` begins with '['. Raises Error (bad input) for a list that does
// not end or is followed by something. Elements are not checked to be JSON.
std::vector<std::string_view> split_json_list(std::string_view bytes, const std::string& name);

}  // namespace kinglet::star_agents
