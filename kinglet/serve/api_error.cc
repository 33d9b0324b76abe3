#include "kinglet/serve/api_error.h"

#include <nlohmann/json.hpp>

namespace kinglet {
namespace {

std::string_view type_of(int status) {
  switch (status) {
    case 429:
      return "requests";
    case 500:
    case 501:
    case 502:
    case 503:
      return "server_error";
    default:
      return "invalid_request_error";
  }
}

nlohmann::json text_or_null(std::string_view text) {
  return text.empty() ? nlohmann::json() : nlohmann::json(std::string(text));
}

}  // namespace

ApiError::ApiError(int status, std::string_view message, std::string param, std::string code)
    : Error(status >= 500 ? ErrorKind::kFailed : ErrorKind::kBadInput, "", message),
      status_(status),
      param_(std::move(param)),
      code_(std::move(code)) {}

std::string api_error_body(int status, std::string_view message, std::string_view param, std::string_view code) {
  nlohmann::ordered_json error = {{"message", message}, {"type", type_of(status)}};
  error["param"] = text_or_null(param);
  error["code"] = text_or_null(code);
  return nlohmann::ordered_json{{"error", error}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string api_error_body(const ApiError& error) {
  return api_error_body(error.status(), error.what(), error.param(), error.code());
}

}  // namespace kinglet
