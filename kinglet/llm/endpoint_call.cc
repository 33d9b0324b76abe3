#include "kinglet/llm/endpoint_call.h"

#include <utility>

namespace kinglet {
namespace {

constexpr std::size_t kErrorBody = std::size_t{64} << 10;  // of answers other than 200

}  // namespace

void EndpointCall::begin_attempt(Time now, std::size_t max_body_bytes, bool keep_raw) {
  keep_raw_ = keep_raw;
  sent_at = last_bytes = now;
  status = 0;
  headers = {};
  reader = std::make_unique<ReplyReader>(max_body_bytes);
  raw.clear();
  pending_text.clear();
  outcome.reset();
  state = State::kSent;
  ++attempts;
}

void EndpointCall::on_status(int new_status) {
  status = new_status;
  headers = {};
}

void EndpointCall::on_header(std::string_view name, std::string_view value) { headers.take(name, value); }

void EndpointCall::on_bytes(std::string_view bytes) {
  last_bytes = std::chrono::steady_clock::now();
  if (status != 200) {
    raw += bytes.substr(0, kErrorBody - std::min(kErrorBody, raw.size()));
    return;
  }
  if (keep_raw_) raw += bytes;
  const std::string piece = reader->feed(bytes);
  if (piece.empty() || !callbacks.on_text) return;
  if (pending_text.empty()) inbox_.with_text.push_back(this);
  pending_text += piece;
}

void EndpointCall::on_end(HttpOutcome ended) {
  transfer = nullptr;
  outcome = std::move(ended);
  inbox_.over.push_back(this);
}

}  // namespace kinglet
