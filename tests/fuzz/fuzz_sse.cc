// An event stream: the events do not depend on how the bytes arrive, and hold no more than the input.
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/llm/sse.h"

namespace kinglet::fuzz {
namespace {

struct Read {
  std::vector<std::string> events;
  bool whole = false;
  bool operator==(const Read&) const = default;
};

// In pieces of `piece` bytes.
Read read_events(std::string_view text, std::size_t piece) {
  Read read;
  const auto keep = [&](std::string_view data) { read.events.emplace_back(data); };
  read.whole = accepted([&] {
    SseParser parser(200);
    for (std::size_t at = 0; at < text.size(); at += piece) parser.feed(text.substr(at, piece), keep);
    parser.finish(keep);
  });
  return read;
}

void check_sse(ByteView input) {
  const std::string_view text = as_text(input);
  const Read whole = read_events(text, std::max<std::size_t>(1, text.size()));
  std::size_t bytes = 0;
  for (const std::string& event : whole.events) {
    require(event.size() <= 200, "an event is bounded");
    bytes += event.size();
  }
  require(bytes <= text.size(), "events hold no more than the input");
  for (const std::size_t piece : {1, 3}) require(read_events(text, piece) == whole, "pieces make no difference");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(sse, kinglet::fuzz::check_sse)
