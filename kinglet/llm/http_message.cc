#include "kinglet/llm/http_message.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "kinglet/base/ascii.h"
#include "kinglet/base/error.h"

namespace kinglet {
namespace {

constexpr std::size_t kMaxHeader = std::size_t{64} << 10;
constexpr std::size_t kMaxBody = std::size_t{64} << 20;

void take_field(std::string_view line, HttpMessage& message, std::size_t& length) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) throw bad_input("request", "a header line has no colon");
  const std::string name = ascii::lower(line.substr(0, colon));
  const std::string_view value = ascii::trimmed(line.substr(colon + 1), " \t");
  if (name == "content-length") {
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (problem != std::errc() || end != value.data() + value.size() || length > kMaxBody) {
      throw bad_input("request", "has a wrong Content-Length");
    }
  } else if (name == "transfer-encoding") {
    throw bad_input("request", "comes in chunks", "send a Content-Length");
  } else if (name == "authorization") {
    message.authorization = value;
  } else if (name == "connection") {
    message.close = ascii::lower(value) == "close";
  }
}

}  // namespace

std::optional<HttpMessage> take_http_message(std::string& bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (std::min(end, bytes.size()) > kMaxHeader) throw bad_input("request", "has more than 64 KiB of headers");
  if (end == std::string::npos) return std::nullopt;
  const std::string_view head = std::string_view(bytes).substr(0, end);
  const std::size_t first_end = std::min(head.find("\r\n"), head.size());
  const std::string_view first = head.substr(0, first_end);
  const std::size_t space = first.find(' '), second = first.rfind(' ');
  if (space == std::string_view::npos || second <= space || !first.substr(second + 1).starts_with("HTTP/1.")) {
    throw bad_input("request", "does not begin with a request line of HTTP/1.1");
  }
  HttpMessage message;
  message.method = first.substr(0, space);
  message.path = first.substr(space + 1, second - space - 1);
  std::size_t length = 0;
  for (std::size_t at = first_end + 2; at < head.size();) {
    const std::size_t line_end = std::min(head.find("\r\n", at), head.size());
    take_field(head.substr(at, line_end - at), message, length);
    at = line_end + 2;
  }
  if (bytes.size() - end - 4 < length) return std::nullopt;
  message.body = bytes.substr(end + 4, length);
  bytes.erase(0, end + 4 + length);
  return message;
}

}  // namespace kinglet
