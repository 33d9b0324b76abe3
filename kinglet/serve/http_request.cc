#include "kinglet/serve/http_request.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "kinglet/base/ascii.h"

namespace kinglet {
namespace {

constexpr std::size_t kLongestChunkLine = 1024;
constexpr std::size_t kLongestTrailer = 8192;
constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return ascii::is_letter(c) || ascii::is_digit(c) || kTokenMarks.find(c) != std::string_view::npos;
  });
}

int hexadecimal(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string without_escapes(std::string_view path) {
  std::string result;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      result += path[i];
      continue;
    }
    const int high = i + 2 < path.size() ? hexadecimal(path[i + 1]) : -1;
    const int low = high < 0 ? -1 : hexadecimal(path[i + 2]);
    if (low < 0) throw HttpError(400, "The address has a broken % escape.");
    result += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return result;
}

}  // namespace

std::optional<std::string_view> HttpRequest::field(std::string_view name) const {
  for (const auto& [key, value] : fields) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::size_t HttpRequestParser::push(std::string_view input) {
  std::size_t taken = 0;
  while (taken < input.size() && !complete()) {
    const std::string_view rest = input.substr(taken);
    switch (state_) {
      case State::kHead:
        taken += push_head(rest);
        break;
      case State::kBody:
        taken += push_counted(rest, State::kComplete);
        break;
      case State::kChunk:
        taken += push_counted(rest, State::kChunkEnd);
        break;
      default:
        taken += push_line(rest);
    }
  }
  return taken;
}

std::size_t HttpRequestParser::push_head(std::string_view input) {
  // Empty lines before a request are let pass.
  if (buffer_.empty() && (input[0] == '\r' || input[0] == '\n')) return 1;
  const std::size_t before = buffer_.size();
  buffer_ += input.substr(0, limits_.head + 1 - before);
  const std::size_t end = buffer_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  if (end == std::string::npos) {
    if (buffer_.size() > limits_.head) throw HttpError(431, "The request's header is too long.");
    return buffer_.size() - before;
  }
  buffer_.resize(end + 2);
  read_head();
  buffer_.clear();
  return end + 4 - before;
}

void HttpRequestParser::read_head() {
  std::string_view rest = buffer_;
  for (bool first = true; !rest.empty(); first = false) {
    const std::size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    if (first)
      read_request_line(line);
    else
      read_field(line);
  }
  read_framing();
}

void HttpRequestParser::read_request_line(std::string_view line) {
  const std::size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) throw HttpError(400, "This is no HTTP request.");
  const std::string_view method = line.substr(0, first), target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    throw HttpError(version.starts_with("HTTP/") ? 505 : 400, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
  }
  const bool plain = std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!is_token(method) || !plain) throw HttpError(400, "This is no HTTP request.");
  if (target != "*" && !target.starts_with('/')) throw HttpError(400, "The address must begin with '/'.");
  request_.method = method;
  request_.is_http_1_0 = version == "HTTP/1.0";
  const std::size_t question = target.find('?');
  request_.path = without_escapes(target.substr(0, question));
  if (question != std::string_view::npos) request_.query = target.substr(question + 1);
}

void HttpRequestParser::read_field(std::string_view line) {
  if (request_.fields.size() >= limits_.fields) throw HttpError(431, "The request's header has too many fields.");
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || !is_token(name)) throw HttpError(400, "A header line is damaged.");
  const std::string_view value = ascii::trimmed(line.substr(colon + 1), " \t");
  const bool plain = std::all_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7F) || c == '\t';
  });
  if (!plain) throw HttpError(400, "A header line holds control characters.");
  request_.fields.emplace_back(ascii::lower(name), value);
}

void HttpRequestParser::read_framing() {
  std::optional<std::string_view> length, coding;
  for (const auto& [name, value] : request_.fields) {
    if (name != "content-length" && name != "transfer-encoding") continue;
    auto& seen = name == "content-length" ? length : coding;
    if (seen) throw HttpError(400, "The length of the body is given twice.");
    seen = value;
  }
  if (length && coding) throw HttpError(400, "The length of the body is given twice.");
  const std::string connection = ascii::lower(request_.field("connection").value_or(""));
  request_.keep_alive = request_.is_http_1_0 ? connection == "keep-alive" : connection != "close";
  if (coding) {
    if (request_.is_http_1_0 || ascii::lower(*coding) != "chunked") {
      throw HttpError(501, "Only the transfer coding 'chunked' is understood.");
    }
    state_ = State::kChunkSize;
  } else {
    std::uint64_t bytes = 0;
    if (length) {
      const auto [end, error] = std::from_chars(length->data(), length->data() + length->size(), bytes);
      if (error == std::errc::result_out_of_range)
        bytes = limits_.body + 1;
      else if (error != std::errc() || end != length->data() + length->size() || length->empty()) {
        throw HttpError(400, "Content-Length is no number.");
      }
    }
    add_body(bytes > limits_.body ? limits_.body + 1 : static_cast<std::size_t>(bytes));
    state_ = left_ > 0 ? State::kBody : State::kComplete;
  }
  if (const auto expect = request_.field("expect"); expect && state_ != State::kComplete) {
    if (ascii::lower(*expect) != "100-continue") throw HttpError(417, "Only '100-continue' can be expected.");
    wants_continue_ = !request_.is_http_1_0;
  }
}

// Announces so many bytes more.
void HttpRequestParser::add_body(std::size_t bytes) {
  if (bytes > limits_.body - request_.body.size()) {
    throw HttpError(413, fmt::format("The request's body is longer than {} bytes.", limits_.body));
  }
  left_ = bytes;
}

std::size_t HttpRequestParser::push_counted(std::string_view input, State next) {
  const std::size_t taken = std::min(left_, input.size());
  request_.body += input.substr(0, taken);
  left_ -= taken;
  if (left_ == 0) state_ = next;
  return taken;
}

std::size_t HttpRequestParser::push_line(std::string_view input) {
  const std::size_t end = input.find('\n');
  const std::size_t taken = end == std::string_view::npos ? input.size() : end + 1;
  if (buffer_.size() + taken > kLongestChunkLine) throw HttpError(400, "A line between chunks is too long.");
  buffer_ += input.substr(0, taken);
  if (end == std::string_view::npos) return taken;
  if (!buffer_.ends_with("\r\n")) throw HttpError(400, "The chunks of the body are damaged.");
  const std::string line = std::exchange(buffer_, {});
  const std::string_view text = std::string_view(line).substr(0, line.size() - 2);
  if (state_ == State::kChunkSize) {
    read_chunk_size(text);
  } else if (state_ == State::kChunkEnd) {
    if (!text.empty()) throw HttpError(400, "The chunks of the body are damaged.");
    state_ = State::kChunkSize;
  } else {  // trailer fields say nothing that matters here
    trailer_bytes_ += line.size();
    if (trailer_bytes_ > kLongestTrailer) throw HttpError(431, "The request's trailer is too long.");
    if (text.empty()) state_ = State::kComplete;
  }
  return taken;
}

void HttpRequestParser::read_chunk_size(std::string_view line) {
  const std::string_view digits = ascii::trimmed(line.substr(0, line.find(';')), " \t");
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bytes, 16);
  if (error == std::errc::result_out_of_range)
    bytes = limits_.body + 1;
  else if (error != std::errc() || end != digits.data() + digits.size()) {
    throw HttpError(400, "The chunks of the body are damaged.");
  }
  add_body(bytes > limits_.body ? limits_.body + 1 : static_cast<std::size_t>(bytes));
  state_ = bytes > 0 ? State::kChunk : State::kTrailer;
}

bool HttpRequestParser::take_continue() { return std::exchange(wants_continue_, false); }

HttpRequest HttpRequestParser::take() {
  HttpRequest request = std::move(request_);
  *this = HttpRequestParser(limits_);
  return request;
}

}  // namespace kinglet
