#include "kinglet/llm/sse.h"

#include "kinglet/base/error.h"

namespace kinglet {

SseParser::SseParser(std::size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}

void SseParser::check_size() const {
  if (line_.size() + data_.size() > max_event_bytes_) {
    throw bad_input("event stream", fmt::format("an event has more than {} bytes", max_event_bytes_));
  }
}

void SseParser::feed(std::string_view bytes, const OnData& on_data) {
  while (!bytes.empty()) {
    if (after_carriage_return_) {
      after_carriage_return_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    line_ += bytes.substr(0, end);
    check_size();
    if (end == std::string_view::npos) return;
    after_carriage_return_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    end_line(on_data);
  }
}

void SseParser::end_line(const OnData& on_data) {
  std::string_view line = line_;
  if (first_line_ && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  first_line_ = false;
  if (line.empty()) {
    dispatch(on_data);
  } else if (line.starts_with("data") && (line.size() == 4 || line[4] == ':')) {
    std::string_view value = line.substr(line.size() == 4 ? 4 : 5);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
  line_.clear();
}

void SseParser::dispatch(const OnData& on_data) {
  if (!has_data_) return;
  const std::string data = std::move(data_);
  data_.clear();
  has_data_ = false;
  on_data(data);
}

void SseParser::finish(const OnData& on_data) {
  if (!line_.empty()) end_line(on_data);
  dispatch(on_data);
}

}  // namespace kinglet
