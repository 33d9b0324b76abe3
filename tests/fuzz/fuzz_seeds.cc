// Instruction data: what is read can be written in every shape and read again; the rest is rejected record by record.
#include <string>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/methods/star_agents/seeds.h"

namespace kinglet::fuzz {
namespace {

using namespace star_agents;

void check_seeds(ByteView input) {
  SeedFile file;
  const bool read = accepted([&] { file = parse_seeds(as_text(input), "seeds", {.longest_record = 4096}); });
  if (!read) return;
  require(!file.seeds.empty(), "a file without seeds is refused");
  for (const Seed& seed : file.seeds) {
    require(seed.context.back().role == "user" && !seed.instruction().empty(), "a seed has an instruction");
    for (const DocumentFormat format :
         {DocumentFormat::kAlpaca, DocumentFormat::kShareGpt, DocumentFormat::kMessages}) {
      const Json record = refined_record(seed, file.format, format, "question", "answer");
      if (format != file.format) {
        // Roles that a format has no name for make no readable record; that is all that may go wrong.
        const bool again = accepted([&] { parse_seeds(record.dump(), "again", {.format = format}); });
        if (format == DocumentFormat::kMessages) require(again, "messages can be read again");
      } else {
        const SeedFile back = parse_seeds(record.dump(), "again", {.format = format, .longest_record = 1 << 20});
        require(back.seeds[0].response == "answer", "the answer stands in its place");
      }
    }
  }
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(seeds, kinglet::fuzz::check_seeds)
