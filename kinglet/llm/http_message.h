// The requests that the mock server understands: HTTP/1.1 with a Content-Length.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kinglet {

struct HttpMessage {
  std::string method;
  std::string path;
  std::string authorization;  // header fields of interest
  bool close = false;         // Connection: close
  std::string body;
};

// Takes one whole request from the front of `bytes`; nothing when more bytes are needed. Raises Error (bad input) for
// what is no request, for headers beyond 64 KiB and for bodies beyond 64 MiB.
std::optional<HttpMessage> take_http_message(std::string& bytes);

}  // namespace kinglet
