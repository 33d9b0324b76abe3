#include "kinglet/serve/reasoning_proxy.h"

#include <fmt/format.h>

#include "kinglet/base/sha256.h"
#include "kinglet/serve/api_error.h"
#include "kinglet/serve/reasoning_request.h"

namespace kinglet {

ReasoningProxy::ReasoningProxy(ChatModel& upstream, ApiOptions options)
    : ApiFrame(std::move(options)),
      upstream_(upstream.name()),
      name_(forest_name(upstream_)),
      fingerprint_("fp_" + sha256_hex(as_bytes(name_)).substr(0, 10)),
      reasoning_(upstream, this->options().reasoning) {}

ReasoningProxy::~ReasoningProxy() = default;

void ReasoningProxy::complete_chat(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  const ChatCompletionRequest asked = read_chat_request(request.body);
  const bool by_field = asked.reasoning.has_value() && (asked.model == upstream_ || asked.model.empty());
  if (!by_field && !asked.model.empty() && asked.model != name_) {
    throw ApiError(asked.model == upstream_ ? 400 : 404,
                   asked.model == upstream_
                       ? fmt::format("This server answers with forests: ask for '{}', or set 'reasoning'.", name_)
                       : fmt::format("The model '{}' does not exist; this server has '{}'.", asked.model, name_),
                   "model", asked.model == upstream_ ? "invalid_value" : "model_not_found");
  }
  if (asked.max_tokens == 0) throw ApiError(400, "Invalid value for 'max_tokens': at least 1.", "max_tokens");
  if (draining()) throw ApiError(503, "The server is shutting down.", "", "shutting_down");
  ReasoningRequest question = read_reasoning(asked, options().reasoning, options().max_tokens);
  ReplyFormat::Setting setting;
  setting.id = reply_id(true);
  setting.model = name_;
  setting.fingerprint = fingerprint_;
  setting.created = unix_seconds();
  setting.include_usage = asked.include_usage;
  reasoning_.start(std::move(question), exchange, ReplyFormat(std::move(setting)), common_fields(request),
                   [this](int status, const fot::CallCost& cost) {
                     count_end(true, status);
                     metrics_.add_forest(cost.total_calls(), cost.usage.completion);
                   });
}

void ReasoningProxy::complete_text(const HttpRequest&, const std::shared_ptr<HttpExchange>&) {
  throw ApiError(404, "This server answers /v1/chat/completions only.", "", "unknown_url");
}

Json ReasoningProxy::models() const {
  return Json::array({{{"id", name_}, {"object", "model"}, {"created", created()}, {"owned_by", "kinglet"}}});
}

}  // namespace kinglet
