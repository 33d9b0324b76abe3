// One request's answer on its way to the client: written from any thread, sent by the server's own.
//
// Nothing here waits for the client. What a slow reader has not taken yet is kept, up to a limit; beyond it, or when
// the client goes away, the exchange is gone: writes return false, and the callback of on_gone() runs once.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kinglet {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

class HttpExchange {
 public:
  struct Setting {
    bool head_only = false;  // the request was HEAD
    bool chunked = true;     // the client knows chunks
    std::size_t most_pending = 4 << 20;
  };
  // `wake` tells the server's thread that there is something to do; called with no lock held.
  HttpExchange(Setting setting, std::function<void()> wake) : setting_(setting), wake_(std::move(wake)) {}
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  // The whole answer. The first of respond() and begin() counts, later ones do nothing.
  void respond(int status, HttpFields fields, std::string_view body);
  // An answer in pieces: begin(), write() any number of times, end().
  void begin(int status, HttpFields fields);
  bool write(std::string_view piece);  // false: nobody will read it
  void end();
  // Breaks an answer off: the client sees that its end is missing. Before its beginning: the connection closes.
  void abort();

  // At once when the client has gone already; never after the answer's end has been sent. Runs without a lock.
  void on_gone(std::function<void()> callback);
  bool gone() const;
  bool begun() const;
  int status() const;  // of the answer; 0 before

  // For the server's thread.
  // Sends with `send` (bytes -> how many were taken) what is pending. False when it cannot take all.
  bool send_pending(const std::function<std::size_t(std::string_view)>& send);
  bool finished() const;  // answered, and all of it sent; never when broken off
  bool broken_off() const;
  bool keep_alive() const;
  void set_keep_alive(bool keep);  // what the answer's head will say
  void set_gone();

 private:
  void append_head(int status, const HttpFields& fields, std::size_t length, bool in_pieces);
  void append(std::string_view bytes);

  const Setting setting_;
  const std::function<void()> wake_;
  mutable std::mutex mutex_;  // guards all below
  std::string pending_;
  std::size_t sent_ = 0;  // bytes of pending_
  int status_ = 0;
  bool in_pieces_ = false, ended_ = false, aborted_ = false, gone_ = false, keep_alive_ = true;
  std::function<void()> gone_callback_;
};

std::string_view http_reason(int status);

}  // namespace kinglet
