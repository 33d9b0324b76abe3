#include "kinglet/serve/api_service.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "kinglet/base/sha256.h"
#include "kinglet/serve/api_error.h"
#include "kinglet/serve/reasoning_request.h"
#include "kinglet/text/prompt_tokens.h"

namespace kinglet {
namespace {

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
    : ApiFrame(std::move(options)),
      engine_(engine),
      model_(std::move(model)),
      fingerprint_("fp_" + sha256_hex(as_bytes(model_.name)).substr(0, 10)) {
  if (!model_.chat_template || this->options().reasoning.forests == 0) return;
  // The engine belongs to whoever made the service.
  std::shared_ptr<TokenEngine> shared(std::shared_ptr<void>(), &engine_);
  local_ = std::make_unique<LocalModel>(
      LocalEngine{model_.tokenizer, model_.chat_template, model_.eos, std::move(shared), model_.name});
  reasoning_ = std::make_unique<ReasoningService>(*local_, this->options().reasoning);
}

ApiService::~ApiService() {
  cancel_all();
  while (open_sequences() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // callbacks use this object
}

Json ApiService::models() const {
  Json model = {{"id", model_.name},
                {"object", "model"},
                {"created", created()},
                {"owned_by", "kinglet"},
                {"max_model_len", engine_.max_positions()}};
  Json all = Json::array({model});
  if (reasoning_) {
    model["id"] = forest_name(model_.name);
    all.push_back(std::move(model));
  }
  return all;
}

void ApiService::check_model(const GenerationRequest& asked) const {
  if (asked.model.empty() || asked.model == model_.name) return;
  throw ApiError(404, fmt::format("The model '{}' does not exist; this server has '{}'.", asked.model, model_.name),
                 "model", "model_not_found");
}

void ApiService::complete_chat(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  const ChatCompletionRequest asked = read_chat_request(request.body);
  const bool forest = asked.model == forest_name(model_.name) || asked.reasoning;
  if (!forest || asked.model != forest_name(model_.name)) check_model(asked);
  if (!model_.chat_template) {
    throw ApiError(
        400, "This model has no chat template: use /v1/completions, or start the server with --chat-template FILE.",
        "messages", "no_chat_template");
  }
  if (asked.max_tokens == 0) throw ApiError(400, "Invalid value for 'max_tokens': at least 1.", "max_tokens");
  if (forest) return reason(request, exchange, asked);
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

void ApiService::reason(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                        const ChatCompletionRequest& asked) {
  if (!reasoning_) throw ApiError(400, "This server does not reason (--forests 0).", "reasoning", "unsupported_value");
  if (draining()) throw ApiError(503, "The server is shutting down.", "", "shutting_down");
  if (options().max_tokens > 0 && asked.max_tokens.value_or(0) > options().max_tokens) throw too_many_tokens(asked);
  ReasoningRequest question = read_reasoning(asked, options().reasoning, options().max_tokens);
  ReplyFormat::Setting setting = reply_setting(asked, true);
  setting.model = forest_name(model_.name);
  reasoning_->start(std::move(question), exchange, ReplyFormat(std::move(setting)), common_fields(request),
                    [this](int status, const fot::CallCost& cost) {
                      count_end(true, status);
                      metrics_.add_forest(cost.total_calls(), cost.usage.completion);
                    });
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

ApiError ApiService::too_many_tokens(const GenerationRequest& asked) const {
  return {400,
          fmt::format("max_tokens is too large: {}. This server allows at most {} new tokens.", *asked.max_tokens,
                      options().max_tokens),
          "max_tokens", "invalid_value"};
}

CompletionJob::Plan ApiService::plan_of(const GenerationRequest& asked, std::vector<std::vector<TokenId>> prompts,
                                        const char* prompt_field) const {
  if (options().max_tokens > 0 && asked.max_tokens.value_or(0) > options().max_tokens) throw too_many_tokens(asked);
  const std::int64_t positions = engine_.max_positions();
  CompletionJob::Plan plan;
  for (const std::vector<TokenId>& prompt : prompts) {
    const auto length = static_cast<std::int64_t>(prompt.size());
    if (length == 0)
      throw ApiError(400, fmt::format("Invalid value for '{}': it is empty.", prompt_field), prompt_field);
    if (length >= positions) throw too_long(positions, std::to_string(length), prompt_field);
    std::int64_t most = asked.max_tokens.value_or(positions);
    if (options().max_tokens > 0) most = std::min(most, options().max_tokens);
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
  if (draining()) throw ApiError(503, "The server is shutting down.", "", "shutting_down");
  if (sequences > options().max_sequences) {
    throw ApiError(400, fmt::format("This server answers at most {} choices at once.", options().max_sequences), "n");
  }
  std::int64_t open = open_sequences_;
  do {
    if (open + sequences > options().max_sequences) {
      throw ApiError(429, "Too many requests are waiting; try again later.", "", "rate_limit_exceeded");
    }
  } while (!open_sequences_.compare_exchange_weak(open, open + sequences));
}

ReplyFormat::Setting ApiService::reply_setting(const GenerationRequest& asked, bool chat) const {
  ReplyFormat::Setting setting;
  setting.chat = chat;
  setting.id = reply_id(chat);
  setting.model = model_.name;
  setting.fingerprint = fingerprint_;
  setting.created = unix_seconds();
  setting.log_probabilities = asked.top_log_probabilities >= 0;
  setting.include_usage = asked.include_usage;
  return setting;
}

void ApiService::run(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                     const GenerationRequest& asked, CompletionJob::Plan plan, bool chat) {
  ReplyFormat::Setting setting = reply_setting(asked, chat);
  plan.fields = common_fields(request);
  const auto sequences = static_cast<std::int64_t>(plan.prompts.size()) * plan.n;
  const auto sequence_ended = [this](const SequenceResult& result, double seconds) {
    metrics_.add_sequence(result, seconds);
  };
  // Sequences count as open until the whole job has ended: its callbacks need this object until then.
  const auto job_ended = [this, sequences, chat](int status) {
    count_end(chat, status);
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
  if (reasoning_) reasoning_->cancel_all();
}

}  // namespace kinglet
