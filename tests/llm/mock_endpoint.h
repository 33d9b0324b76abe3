// A mock server with an endpoint that calls it, with short waits.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kinglet/llm/endpoint_model.h"
#include "kinglet/llm/mock_server.h"

namespace kinglet::testing_support {

inline ChatRequest asking(std::string text) {
  ChatRequest request;
  request.messages = {{"user", std::move(text)}};
  return request;
}

// Each with a slot of its own.
inline std::vector<ChatRequest> numbered_requests(int count) {
  std::vector<ChatRequest> requests;
  for (int i = 0; i < count; ++i) {
    requests.push_back(asking("question " + std::to_string(i)));
    requests.back().slot = std::to_string(i);
  }
  return requests;
}

inline EndpointOptions quick_options(const std::string& base_url) {
  EndpointOptions options;
  options.base_url = base_url;
  options.model = "mock";
  options.identity = "mock endpoint";
  options.backoff = {std::chrono::milliseconds(5), std::chrono::milliseconds(50)};
  options.admission.cool_down = std::chrono::milliseconds(20);
  options.jitter_seed = 1;
  return options;
}

struct MockEndpoint {
  explicit MockEndpoint(MockOptions behaviour, const std::function<void(EndpointOptions&)>& change = {})
      : server(std::make_unique<MockServer>(std::move(behaviour))) {
    EndpointOptions options = quick_options(server->base_url());
    if (change) change(options);
    model = std::make_unique<EndpointModel>(client, std::move(options));
  }

  std::unique_ptr<MockServer> server;
  HttpClient client;
  std::unique_ptr<EndpointModel> model;
};

}  // namespace kinglet::testing_support
