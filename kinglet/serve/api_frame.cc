#include "kinglet/serve/api_frame.h"

#include <algorithm>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "kinglet/base/log.h"
#include "kinglet/base/sha256.h"
#include "kinglet/serve/api_error.h"
#include "kinglet/serve/origin.h"
#include "kinglet/serve/page.h"

namespace kinglet {
namespace {

constexpr std::string_view kModels = "/v1/models";
constexpr std::string_view kChat = "/v1/chat/completions";
constexpr std::string_view kText = "/v1/completions";

// Takes the same time for every key: the texts compared are hashes.
bool same_secret(std::string_view given, std::string_view wanted) {
  const auto a = sha256(as_bytes(given)), b = sha256(as_bytes(wanted));
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

// A place in the address space of the server, for counting; others could be as many as a client likes.
std::string route_of(const std::string& path) {
  for (const std::string_view known :
       {kModels, kChat, kText, std::string_view("/health"), std::string_view("/metrics")}) {
    if (path == known) return std::string(known);
  }
  if (path.starts_with(kModels)) return "/v1/models/{model}";
  return find_page_file(path) != nullptr ? "page" : "other";
}

}  // namespace

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::uint64_t random_number() {
  thread_local std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

std::string reply_id(bool chat) {
  return fmt::format("{}-{:016x}{:08x}", chat ? "chatcmpl" : "cmpl", random_number(),
                     static_cast<std::uint32_t>(random_number()));
}

ApiFrame::ApiFrame(ApiOptions options) : options_(std::move(options)), created_(unix_seconds()) {}

HttpFields ApiFrame::common_fields(const HttpRequest& request) const {
  HttpFields fields = {{"X-Content-Type-Options", "nosniff"}};
  const auto origin = request.field("origin");
  if (!origin || options_.allowed_origin.empty()) return fields;
  if (options_.allowed_origin != "*" && options_.allowed_origin != *origin) return fields;
  fields.emplace_back("Access-Control-Allow-Origin", options_.allowed_origin);
  fields.emplace_back("Vary", "Origin");
  return fields;
}

std::pair<HttpFields, std::string> ApiFrame::refusal(int status, std::string_view message) {
  metrics_.add_request("other", status);
  return {{{"Content-Type", "application/json"}, {"X-Content-Type-Options", "nosniff"}},
          api_error_body(status, message)};
}

void ApiFrame::send(HttpExchange& exchange, Answer answer, const HttpRequest& request) {
  HttpFields fields = common_fields(request);
  std::move(answer.fields.begin(), answer.fields.end(), std::back_inserter(fields));
  if (answer.status != 204) fields.emplace_back("Content-Type", answer.type);
  metrics_.add_request(route_of(request.path), answer.status);
  log_info("{} {} {}", printable(request.method), printable(request.path), answer.status);
  exchange.respond(answer.status, std::move(fields), answer.body);
}

void ApiFrame::handle(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  Answer answer;
  try {
    check_origin(request);
    const std::string allowed = route(request, exchange);
    if (allowed.empty()) return;
    if (request.method == "OPTIONS") {
      answer.status = 204;
      answer.fields = {{"Allow", allowed},
                       {"Access-Control-Allow-Methods", allowed},
                       {"Access-Control-Allow-Headers", "Authorization, Content-Type"},
                       {"Access-Control-Max-Age", "600"}};
    } else {
      answer.status = 405;
      answer.fields = {{"Allow", allowed}};
      answer.body = api_error_body(
          405, fmt::format("Not allowed to {} on {} (allowed: {}).", request.method, request.path, allowed), "",
          "method_not_supported");
    }
  } catch (const ApiError& error) {
    answer.status = error.status();
    answer.body = api_error_body(error);
    if (answer.status == 401) answer.fields = {{"WWW-Authenticate", "Bearer"}};
    if (answer.status == 429 || answer.status == 503) answer.fields = {{"Retry-After", "1"}};
  } catch (const Error& error) {
    answer.status = error.kind() == ErrorKind::kBadInput ? 400 : 500;
    answer.body = api_error_body(answer.status, error.what());
  }
  send(*exchange, std::move(answer), request);
}

// Answers, or returns the methods that the address knows.
std::string ApiFrame::route(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  const std::string& path = request.path;
  if (path == kChat || path == kText) {
    if (request.method != "POST") return "POST, OPTIONS";
    check_key(request);
    if (path == kChat)
      complete_chat(request, exchange);
    else
      complete_text(request, exchange);
    return {};
  }
  const bool for_clients = path == "/metrics" || path == kModels || path.starts_with(std::string(kModels) + "/");
  if (!for_clients && path != "/health" && find_page_file(path) == nullptr) {
    throw ApiError(404, fmt::format("Invalid URL ({} {})", request.method, path), "", "unknown_url");
  }
  if (request.method != "GET" && request.method != "HEAD") return "GET, HEAD, OPTIONS";
  if (for_clients) check_key(request);
  send(*exchange, answer_get(path), request);
  return {};
}

ApiFrame::Answer ApiFrame::answer_get(const std::string& path) const {
  Answer answer;
  if (path == "/health") {
    answer.status = draining_ ? 503 : 200;
    answer.body = draining_ ? R"({"status":"shutting down"})" : R"({"status":"ok"})";
  } else if (path == "/metrics") {
    answer.type = "text/plain; version=0.0.4; charset=utf-8";
    answer.body = metrics_.print(
        engine_state(), {open_sequences(), server_ == nullptr ? 0 : server_->open_connections(), open_forests()});
  } else if (path == kModels) {
    answer.body = Json{{"object", "list"}, {"data", models()}}.dump();
  } else if (path.starts_with(kModels)) {
    const std::string name = path.substr(kModels.size() + 1);
    const Json all = models();
    const auto found = std::find_if(all.begin(), all.end(), [&](const Json& model) { return model["id"] == name; });
    if (found == all.end()) {
      throw ApiError(404, fmt::format("The model '{}' does not exist", name), "model", "model_not_found");
    }
    answer.body = found->dump();
  } else {
    const PageFile& file = *find_page_file(path);
    answer.type = file.type;
    answer.body = file.content;
    answer.fields = {{"Content-Security-Policy", std::string(kPagePolicy)},
                     {"Referrer-Policy", "no-referrer"},
                     {"Cache-Control", "no-cache"}};
  }
  return answer;
}

void ApiFrame::check_key(const HttpRequest& request) const {
  if (options_.api_key.empty()) return;
  const std::string_view given = request.field("authorization").value_or("");
  if (given.empty()) throw ApiError(401, "You didn't provide an API key (Authorization: Bearer ...).", "", "");
  constexpr std::string_view kScheme = "Bearer ";
  const bool bearer = given.starts_with(kScheme);
  if (!same_secret(bearer ? given.substr(kScheme.size()) : given, options_.api_key) || !bearer) {
    throw ApiError(401, "Incorrect API key provided.", "", "invalid_api_key");
  }
}

void ApiFrame::check_origin(const HttpRequest& request) const {
  const auto origin = request.field("origin");
  if (!origin || request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS") return;
  if (options_.allowed_origin == "*" || (!options_.allowed_origin.empty() && options_.allowed_origin == *origin))
    return;
  if (is_own_page(*origin, request.field("host").value_or(""), options_.loopback)) return;
  throw ApiError(403, fmt::format("Pages of {} may not use this server (kinglet serve --allow-origin).", *origin), "",
                 "origin_not_allowed");
}

void ApiFrame::count_end(bool chat, int status) {
  constexpr int kClientGone = 499;
  const std::string_view route = chat ? kChat : kText;
  metrics_.add_request(std::string(route), status == 0 ? kClientGone : status);
  log_info("POST {} {}", route, status);
}

bool ApiFrame::drain(std::chrono::milliseconds time) {
  draining_ = true;
  const auto end = std::chrono::steady_clock::now() + time;
  while (open_sequences() > 0) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace kinglet
