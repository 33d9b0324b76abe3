// A server with a scripted engine and the small tokenizer of GPT-2's kind.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "tests/support/http_client.h"
#include "tests/support/scripted_engine.h"

#include "kinglet/serve/api_service.h"

namespace kinglet::testing_support {

inline std::shared_ptr<const Tokenizer> small_tokenizer() {
  static const std::shared_ptr<const Tokenizer> tokenizer =
      Tokenizer::load(std::filesystem::path(KINGLET_SOURCE_DIR) / "tests/golden/text/gpt2.json");
  return tokenizer;
}

inline constexpr const char* kTestTemplate =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>"
    "{% endif %}";
inline constexpr TokenId kTestEnd = 600;  // <|endoftext|>

// Says `text`, then ends.
inline ScriptedEngine::Next saying(const std::string& text) {
  return [tokens = small_tokenizer()->encode(text, false)](const TokenRequest&, std::int64_t position) {
    return position < static_cast<std::int64_t>(tokens.size()) ? tokens[static_cast<std::size_t>(position)] : kTestEnd;
  };
}

struct TestServer {
  explicit TestServer(ScriptedEngine::Options engine_options = {}, ApiOptions api = {}, HttpServerOptions http = {},
                      bool with_template = true)
      : engine(std::move(engine_options)), service(engine, model(with_template), std::move(api)) {
    if (http.port == 8080) http.port = 0;
    server = std::make_unique<HttpServer>(
        std::move(http), [this](const auto& request, const auto& exchange) { service.handle(request, exchange); },
        [this](int status, std::string_view message) { return service.refusal(status, message); });
    service.set_server(server.get());
  }

  static ServedModel model(bool with_template) {
    ServedModel model;
    model.name = "scripted";
    model.tokenizer = small_tokenizer();
    if (with_template) model.chat_template = ChatTemplate::parse(kTestTemplate);
    model.eos = {kTestEnd};
    return model;
  }
  int port() const { return server->port(); }
  HttpReply chat(const nlohmann::json& body) const { return post(port(), "/v1/chat/completions", body); }
  HttpReply text(const nlohmann::json& body) const { return post(port(), "/v1/completions", body); }
  double metric(const std::string& name) const {  // a whole line but its value
    const std::string all = "\n" + ask(port(), "GET", "/metrics").body;
    const std::size_t at = all.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(all.substr(at + name.size() + 2));
  }

  ScriptedEngine engine;
  ApiService service;
  std::unique_ptr<HttpServer> server;
};

}  // namespace kinglet::testing_support
