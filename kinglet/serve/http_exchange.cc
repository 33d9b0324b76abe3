#include "kinglet/serve/http_exchange.h"

#include <fmt/format.h>

namespace kinglet {

std::string_view http_reason(int status) {
  static constexpr std::pair<int, std::string_view> kReasons[] = {
      {200, "OK"},
      {204, "No Content"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {413, "Content Too Large"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {505, "HTTP Version Not Supported"},
  };
  for (const auto& [code, reason] : kReasons) {
    if (code == status) return reason;
  }
  return "Status";
}

void HttpExchange::append_head(int status, const HttpFields& fields, std::size_t length, bool in_pieces) {
  status_ = status;
  if (in_pieces && !setting_.chunked) keep_alive_ = false;  // the end of the connection is the end of the answer
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, http_reason(status));
  for (const auto& [name, value] : fields) head += fmt::format("{}: {}\r\n", name, value);
  if (!in_pieces) {
    if (status != 204) head += fmt::format("Content-Length: {}\r\n", length);
  } else if (setting_.chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  }
  head += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  append(head);
}

void HttpExchange::append(std::string_view bytes) {
  if (sent_ > 0 && sent_ >= pending_.size() / 2) {
    pending_.erase(0, sent_);
    sent_ = 0;
  }
  pending_ += bytes;
}

void HttpExchange::respond(int status, HttpFields fields, std::string_view body) {
  {
    const std::lock_guard lock(mutex_);
    if (status_ != 0 || aborted_ || gone_) return;
    append_head(status, fields, body.size(), false);
    if (!setting_.head_only) append(body);
    ended_ = true;
  }
  wake_();
}

void HttpExchange::begin(int status, HttpFields fields) {
  {
    const std::lock_guard lock(mutex_);
    if (status_ != 0 || aborted_ || gone_) return;
    in_pieces_ = true;
    append_head(status, fields, 0, true);
  }
  wake_();
}

bool HttpExchange::write(std::string_view piece) {
  {
    const std::lock_guard lock(mutex_);
    if (!in_pieces_ || ended_ || aborted_ || gone_) return false;
    if (piece.empty() || setting_.head_only) return true;
    if (pending_.size() - sent_ + piece.size() > setting_.most_pending) {
      aborted_ = true;  // the reader is too slow; the server closes the connection
    } else if (setting_.chunked) {
      append(fmt::format("{:x}\r\n", piece.size()));
      append(piece);
      append("\r\n");
    } else {
      append(piece);
    }
    if (!aborted_) piece = {};
  }
  wake_();
  return piece.empty();
}

void HttpExchange::end() {
  {
    const std::lock_guard lock(mutex_);
    if (!in_pieces_ || ended_ || aborted_ || gone_) return;
    if (setting_.chunked && !setting_.head_only) append("0\r\n\r\n");
    ended_ = true;
  }
  wake_();
}

void HttpExchange::abort() {
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || aborted_ || gone_) return;
    aborted_ = true;
  }
  wake_();
}

void HttpExchange::on_gone(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_) {
      gone_callback_ = std::move(callback);
      return;
    }
  }
  callback();
}

bool HttpExchange::gone() const {
  const std::lock_guard lock(mutex_);
  return gone_ || aborted_;
}

bool HttpExchange::begun() const { return status() != 0; }

int HttpExchange::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool HttpExchange::send_pending(const std::function<std::size_t(std::string_view)>& send) {
  const std::lock_guard lock(mutex_);
  while (sent_ < pending_.size()) {
    const std::size_t taken = send(std::string_view(pending_).substr(sent_));
    if (taken == 0) return false;
    sent_ += taken;
  }
  pending_.clear();
  sent_ = 0;
  return true;
}

bool HttpExchange::finished() const {
  const std::lock_guard lock(mutex_);
  return ended_ && sent_ == pending_.size();
}

bool HttpExchange::broken_off() const {
  const std::lock_guard lock(mutex_);
  return aborted_;
}

bool HttpExchange::keep_alive() const {
  const std::lock_guard lock(mutex_);
  return keep_alive_;
}

void HttpExchange::set_keep_alive(bool keep) {
  const std::lock_guard lock(mutex_);
  if (status_ == 0) keep_alive_ = keep;
}

void HttpExchange::set_gone() {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex_);
    if (gone_) return;
    gone_ = true;
    // A whole answer that could not be sent to its end is no reason to stop anything: the work is done.
    if (!ended_) callback = std::move(gone_callback_);
    gone_callback_ = nullptr;
    pending_.clear();
    pending_.shrink_to_fit();
    sent_ = 0;
  }
  if (callback) callback();
}

}  // namespace kinglet
