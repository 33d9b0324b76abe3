// A server that answers with forests over any ChatModel.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "tests/support/http_client.h"

#include "kinglet/serve/reasoning_proxy.h"

namespace kinglet::testing_support {

struct ProxyServer {
  explicit ProxyServer(ChatModel& model, ApiOptions api = {}) : service(model, std::move(api)) {
    HttpServerOptions http;
    http.port = 0;
    server = std::make_unique<HttpServer>(
        std::move(http), [this](const auto& request, const auto& exchange) { service.handle(request, exchange); },
        [this](int status, std::string_view message) { return service.refusal(status, message); });
    service.set_server(server.get());
  }
  int port() const { return server->port(); }
  HttpReply chat(const nlohmann::json& body) const { return post(port(), "/v1/chat/completions", body); }

  ReasoningProxy service;
  std::unique_ptr<HttpServer> server;
};

}  // namespace kinglet::testing_support
