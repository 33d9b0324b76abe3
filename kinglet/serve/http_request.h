// Requests of HTTP/1.1 and 1.0, read as strictly as one that comes from anywhere deserves.
//
// Refused: heads and bodies beyond the limits, header lines that are no "name: value", more than one way to know the
// body's length. So no other server in front can see another request in the same bytes, and memory is bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kinglet/base/error.h"

namespace kinglet {

struct HttpLimits {
  std::size_t head = 32 << 10;  // bytes of request line and header
  std::size_t fields = 100;
  std::size_t body = 8 << 20;
};

// A request that gets an answer of this status and no more.
class HttpError : public Error {
 public:
  HttpError(int status, std::string_view what) : Error(ErrorKind::kBadInput, "", what), status_(status) {}
  int status() const { return status_; }

 private:
  int status_;
};

struct HttpRequest {
  std::string method;
  std::string path;                                         // from "/" to "?", %-escapes resolved
  std::string query;                                        // behind "?", as it came
  std::vector<std::pair<std::string, std::string>> fields;  // names in small letters
  std::string body;
  bool is_http_1_0 = false;
  bool keep_alive = true;

  // The first field of this name (small letters).
  std::optional<std::string_view> field(std::string_view name) const;
};

class HttpRequestParser {
 public:
  explicit HttpRequestParser(HttpLimits limits) : limits_(limits) {}

  // Takes bytes from the front of `input`, up to the request's end; returns how many. Raises HttpError.
  std::size_t push(std::string_view input);
  bool begun() const { return state_ != State::kHead || !buffer_.empty(); }
  bool complete() const { return state_ == State::kComplete; }
  // Once after a head that asks for "100 Continue" before its body.
  bool take_continue();
  // Of a complete one; the parser is then as new.
  HttpRequest take();
  std::size_t buffered() const { return buffer_.size() + request_.body.size(); }

 private:
  enum class State { kHead, kBody, kChunkSize, kChunk, kChunkEnd, kTrailer, kComplete };

  std::size_t push_head(std::string_view input);
  std::size_t push_counted(std::string_view input, State next);
  std::size_t push_line(std::string_view input);
  void read_head();
  void read_request_line(std::string_view line);
  void read_field(std::string_view line);
  void read_framing();
  void read_chunk_size(std::string_view line);
  void add_body(std::size_t bytes);

  HttpLimits limits_;
  State state_ = State::kHead;
  std::string buffer_;    // of the head, or of a line between chunks
  std::size_t left_ = 0;  // bytes of the body or chunk still to come
  std::size_t trailer_bytes_ = 0;
  bool wants_continue_ = false;
  HttpRequest request_;
};

}  // namespace kinglet
