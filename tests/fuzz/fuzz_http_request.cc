// Bytes that a client sends: what is accepted does not depend on how they arrive, and stays within the limits.
#include <algorithm>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/serve/http_request.h"

namespace kinglet::fuzz {
namespace {

struct Seen {
  std::vector<HttpRequest> requests;
  int refused = 0;  // status
};

constexpr HttpLimits kLimits = {.head = 2048, .fields = 20, .body = 1024};

// All requests of a connection, whose bytes come in pieces of this length.
Seen read_all(std::string_view bytes, std::size_t piece) {
  Seen seen;
  HttpRequestParser parser(kLimits);
  std::string held;
  try {
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      held += bytes.substr(at, piece);
      for (bool more = true; more;) {
        const std::size_t taken = parser.push(held);
        require(taken <= held.size(), "no more is taken than there is");
        held.erase(0, taken);
        require(parser.buffered() <= kLimits.head + kLimits.body + 1, "memory is bounded");
        more = parser.complete();
        if (more) seen.requests.push_back(parser.take());
        require(more || held.empty(), "all bytes of an unfinished request are taken");
      }
    }
  } catch (const HttpError& error) {
    seen.refused = error.status();
    require(error.status() >= 400 && error.status() < 600, "a refusal has a status");
  }
  return seen;
}

void check_http_request(ByteView input) {
  const std::string_view bytes = as_text(input);
  const Seen whole = read_all(bytes, bytes.size() + 1);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}}) {
    const Seen pieces = read_all(bytes, piece);
    require(pieces.refused == whole.refused, "pieces make no difference");
    require(pieces.requests.size() == whole.requests.size(), "pieces make no difference to the requests");
    for (std::size_t i = 0; i < whole.requests.size(); ++i) {
      require(pieces.requests[i].body == whole.requests[i].body && pieces.requests[i].path == whole.requests[i].path &&
                  pieces.requests[i].fields == whole.requests[i].fields,
              "pieces make no difference to a request");
    }
  }
  for (const HttpRequest& request : whole.requests) {
    require(!request.method.empty() && !request.path.empty(), "a request has a method and an address");
    require(request.body.size() <= kLimits.body && request.fields.size() <= kLimits.fields, "limits are kept");
    for (const auto& [name, value] : request.fields) {
      require(!name.empty() && value.find('\n') == std::string::npos, "fields are single lines");
    }
  }
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(http_request, kinglet::fuzz::check_http_request)
