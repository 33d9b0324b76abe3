// Server-sent events (WHATWG HTML, section 9.2.6), read piece by piece as bytes arrive.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace kinglet {

class SseParser {
 public:
  // Called for each event with its data lines joined by newlines; events without data are passed over, as are comments.
  using OnData = std::function<void(std::string_view data)>;

  // Memory is bounded: an event may have `max_event_bytes`, a longer one makes feed() raise Error (bad input).
  explicit SseParser(std::size_t max_event_bytes);

  // Lines end with LF, CR LF or CR. The same bytes give the same events, however they are cut into pieces.
  void feed(std::string_view bytes, const OnData& on_data);
  // The stream has ended. Servers exist that leave out the last blank line: what stands in whole data lines counts.
  void finish(const OnData& on_data);

 private:
  void end_line(const OnData& on_data);
  void dispatch(const OnData& on_data);
  void check_size() const;

  std::size_t max_event_bytes_;
  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool after_carriage_return_ = false;
  bool first_line_ = true;
};

}  // namespace kinglet
