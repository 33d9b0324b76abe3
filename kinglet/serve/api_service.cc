#include "kinglet/serve/api_service.h"

#include <algorithm>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "kinglet/base/log.h"
#include "kinglet/base/sha256.h"
#include "kinglet/serve/api_error.h"
#include "kinglet/serve/origin.h"
#include "kinglet/serve/page.h"
#include "kinglet/text/prompt_tokens.h"

namespace kinglet {
namespace {

constexpr std::string_view kModels = "/v1/models";
constexpr std::string_view kChat = "/v1/chat/completions";
constexpr std::string_view kText = "/v1/completions";

std::int64_t seconds_since_1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::uint64_t random_number() {
  thread_local std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

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

// Encoding a text costs time; one that cannot fit anyway is refused by its length in bytes. No vocabulary has tokens
// that long on average.
constexpr std::int64_t kMostBytesAToken = 64;

ApiError too_long(std::int64_t positions, std::string_view what, const char* field) {
  return {400,
          fmt::format("This model's maximum context length is {} tokens. However, your {} resulted in {} tokens.",
                      positions, field, what),
          field, "context_length_exceeded"};
}

}  // namespace

ApiService::ApiService(TokenEngine& engine, ServedModel model, ApiOptions options)
    : engine_(engine),
      model_(std::move(model)),
      options_(std::move(options)),
      fingerprint_("fp_" + sha256_hex(as_bytes(model_.name)).substr(0, 10)),
      created_(seconds_since_1970()) {}

ApiService::~ApiService() {
  cancel_all();
  while (open_sequences_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // callbacks use this object
}

HttpFields ApiService::common_fields(const HttpRequest& request) const {
  HttpFields fields = {{"X-Content-Type-Options", "nosniff"}};
  const auto origin = request.field("origin");
  if (!origin || options_.allowed_origin.empty()) return fields;
  if (options_.allowed_origin != "*" && options_.allowed_origin != *origin) return fields;
  fields.emplace_back("Access-Control-Allow-Origin", options_.allowed_origin);
  fields.emplace_back("Vary", "Origin");
  return fields;
}

std::pair<HttpFields, std::string> ApiService::refusal(int status, std::string_view message) {
  metrics_.add_request("other", status);
  return {{{"Content-Type", "application/json"}, {"X-Content-Type-Options", "nosniff"}},
          api_error_body(status, message)};
}

void ApiService::send(HttpExchange& exchange, Answer answer, const HttpRequest& request) {
  HttpFields fields = common_fields(request);
  std::move(answer.fields.begin(), answer.fields.end(), std::back_inserter(fields));
  if (answer.status != 204) fields.emplace_back("Content-Type", answer.type);
  metrics_.add_request(route_of(request.path), answer.status);
  log_info("{} {} {}", printable(request.method), printable(request.path), answer.status);
  exchange.respond(answer.status, std::move(fields), answer.body);
}

void ApiService::handle(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
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
std::string ApiService::route(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
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
  send(*exchange, answer_get(request, path), request);
  return {};
}

ApiService::Answer ApiService::answer_get(const HttpRequest&, const std::string& path) const {
  Answer answer;
  if (path == "/health") {
    answer.status = draining_ ? 503 : 200;
    answer.body = draining_ ? R"({"status":"shutting down"})" : R"({"status":"ok"})";
  } else if (path == "/metrics") {
    answer.type = "text/plain; version=0.0.4; charset=utf-8";
    answer.body =
        metrics_.print(engine_.state(), {open_sequences_, server_ == nullptr ? 0 : server_->open_connections()});
  } else if (path == kModels) {
    answer.body = Json{{"object", "list"}, {"data", Json::array({model_json()})}}.dump();
  } else if (path.starts_with(kModels)) {
    const std::string name = path.substr(kModels.size() + 1);
    if (name != model_.name) {
      throw ApiError(404, fmt::format("The model '{}' does not exist", name), "model", "model_not_found");
    }
    answer.body = model_json().dump();
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

Json ApiService::model_json() const {
  return {{"id", model_.name},
          {"object", "model"},
          {"created", created_},
          {"owned_by", "kinglet"},
          {"max_model_len", engine_.max_positions()}};
}

void ApiService::check_key(const HttpRequest& request) const {
  if (options_.api_key.empty()) return;
  const std::string_view given = request.field("authorization").value_or("");
  if (given.empty()) throw ApiError(401, "You didn't provide an API key (Authorization: Bearer ...).", "", "");
  constexpr std::string_view kScheme = "Bearer ";
  const bool bearer = given.starts_with(kScheme);
  if (!same_secret(bearer ? given.substr(kScheme.size()) : given, options_.api_key) || !bearer) {
    throw ApiError(401, "Incorrect API key provided.", "", "invalid_api_key");
  }
}

void ApiService::check_origin(const HttpRequest& request) const {
  const auto origin = request.field("origin");
  if (!origin || request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS") return;
  if (options_.allowed_origin == "*" || (!options_.allowed_origin.empty() && options_.allowed_origin == *origin))
    return;
  if (is_own_page(*origin, request.field("host").value_or(""), options_.loopback)) return;
  throw ApiError(403, fmt::format("Pages of {} may not use this server (kinglet serve --allow-origin).", *origin), "",
                 "origin_not_allowed");
}

void ApiService::check_model(const GenerationRequest& asked) const {
  if (asked.model.empty() || asked.model == model_.name) return;
  throw ApiError(404, fmt::format("The model '{}' does not exist; this server has '{}'.", asked.model, model_.name),
                 "model", "model_not_found");
}

void ApiService::complete_chat(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  const ChatCompletionRequest asked = read_chat_request(request.body);
  check_model(asked);
  if (!model_.chat_template) {
    throw ApiError(
        400, "This model has no chat template: use /v1/completions, or start the server with --chat-template FILE.",
        "messages", "no_chat_template");
  }
  if (asked.max_tokens == 0) throw ApiError(400, "Invalid value for 'max_tokens': at least 1.", "max_tokens");
  ChatOptions options;
  options.add_generation_prompt = true;
  options.extra = asked.template_values;
  std::string text;
  try {
    text = model_.chat_template->render(asked.messages, options);
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "messages", "invalid_messages");
  }
  if (static_cast<std::int64_t>(text.size()) / kMostBytesAToken > engine_.max_positions()) {
    throw too_long(engine_.max_positions(), "many more", "messages");
  }
  CompletionJob::Plan plan = plan_of(asked, {model_.tokenizer->encode(text, false)}, "messages");
  plan.echoes = {""};
  run(request, exchange, asked, std::move(plan), true);
}

void ApiService::complete_text(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  const TextCompletionRequest asked = read_text_request(request.body);
  check_model(asked);
  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::string> echoes;
  for (const Prompt& prompt : asked.prompts) {
    if (const auto* text = std::get_if<std::string>(&prompt)) {
      if (static_cast<std::int64_t>(text->size()) / kMostBytesAToken > engine_.max_positions()) {
        throw too_long(engine_.max_positions(), "many more", "prompt");
      }
      prompts.push_back(encode_prompt(*model_.tokenizer, *text));
      echoes.push_back(asked.echo ? *text : std::string());
    } else {
      prompts.push_back(std::get<std::vector<TokenId>>(prompt));
      for (const TokenId token : prompts.back()) {
        if (token >= engine_.vocabulary_size()) {
          throw ApiError(400, fmt::format("Invalid value for 'prompt': there is no token {}.", token), "prompt");
        }
      }
      echoes.push_back(asked.echo ? model_.tokenizer->decode(prompts.back()) : std::string());
    }
  }
  CompletionJob::Plan plan = plan_of(asked, std::move(prompts), "prompt");
  plan.echoes = std::move(echoes);
  run(request, exchange, asked, std::move(plan), false);
}

CompletionJob::Plan ApiService::plan_of(const GenerationRequest& asked, std::vector<std::vector<TokenId>> prompts,
                                        const char* prompt_field) const {
  if (options_.max_tokens > 0 && asked.max_tokens.value_or(0) > options_.max_tokens) {
    throw ApiError(400,
                   fmt::format("max_tokens is too large: {}. This server allows at most {} new tokens.",
                               *asked.max_tokens, options_.max_tokens),
                   "max_tokens", "invalid_value");
  }
  const std::int64_t positions = engine_.max_positions();
  CompletionJob::Plan plan;
  for (const std::vector<TokenId>& prompt : prompts) {
    const auto length = static_cast<std::int64_t>(prompt.size());
    if (length == 0)
      throw ApiError(400, fmt::format("Invalid value for '{}': it is empty.", prompt_field), prompt_field);
    if (length >= positions) throw too_long(positions, std::to_string(length), prompt_field);
    std::int64_t most = asked.max_tokens.value_or(positions);
    if (options_.max_tokens > 0) most = std::min(most, options_.max_tokens);
    plan.max_tokens.push_back(std::min(most, positions - length));
  }
  plan.prompts = std::move(prompts);
  plan.n = asked.n;
  plan.request.choice = asked.choice;
  if (!asked.has_seed) plan.request.choice.seed = random_number();
  plan.request.eos = model_.eos;
  plan.request.top_log_probabilities = asked.top_log_probabilities;
  plan.text = {asked.stop, model_.eos, asked.top_log_probabilities >= 0};
  plan.stream = asked.stream;
  return plan;
}

void ApiService::admit(std::int64_t sequences) {
  if (draining_) throw ApiError(503, "The server is shutting down.", "", "shutting_down");
  if (sequences > options_.max_sequences) {
    throw ApiError(400, fmt::format("This server answers at most {} choices at once.", options_.max_sequences), "n");
  }
  std::int64_t open = open_sequences_;
  do {
    if (open + sequences > options_.max_sequences) {
      throw ApiError(429, "Too many requests are waiting; try again later.", "", "rate_limit_exceeded");
    }
  } while (!open_sequences_.compare_exchange_weak(open, open + sequences));
}

void ApiService::run(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                     const GenerationRequest& asked, CompletionJob::Plan plan, bool chat) {
  ReplyFormat::Setting setting;
  setting.chat = chat;
  setting.id = fmt::format("{}-{:016x}{:08x}", chat ? "chatcmpl" : "cmpl", random_number(),
                           static_cast<std::uint32_t>(random_number()));
  setting.model = model_.name;
  setting.fingerprint = fingerprint_;
  setting.created = seconds_since_1970();
  setting.log_probabilities = asked.top_log_probabilities >= 0;
  setting.include_usage = asked.include_usage;
  plan.fields = common_fields(request);
  const auto sequences = static_cast<std::int64_t>(plan.prompts.size()) * plan.n;
  const auto sequence_ended = [this](const SequenceResult& result, double seconds) {
    metrics_.add_sequence(result, seconds);
  };
  // Sequences count as open until the whole job has ended: its callbacks need this object until then.
  const auto job_ended = [this, sequences, route = std::string(chat ? kChat : kText)](int status) {
    constexpr int kClientGone = 499;
    metrics_.add_request(route, status == 0 ? kClientGone : status);
    log_info("POST {} {}", route, status);
    open_sequences_ -= sequences;
  };
  admit(sequences);
  std::shared_ptr<CompletionJob> job;
  try {
    job = std::make_shared<CompletionJob>(engine_, *model_.tokenizer, exchange, ReplyFormat(std::move(setting)),
                                          std::move(plan), sequence_ended, job_ended);
    const std::lock_guard lock(mutex_);
    std::erase_if(jobs_, [](const auto& other) { return other.expired(); });
    jobs_.insert(job);
  } catch (...) {
    open_sequences_ -= sequences;
    throw;
  }
  job->start();
}

void ApiService::cancel_all() {
  std::vector<std::shared_ptr<CompletionJob>> jobs;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& weak : jobs_) {
      if (auto job = weak.lock()) jobs.push_back(std::move(job));
    }
  }
  for (const auto& job : jobs) job->cancel();
}

bool ApiService::drain(std::chrono::milliseconds time) {
  draining_ = true;
  const auto end = std::chrono::steady_clock::now() + time;
  while (open_sequences_ > 0) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace kinglet
