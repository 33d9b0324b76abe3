// A server from its start to its end.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "kinglet/serve/api_service.h"

namespace kinglet {

struct ServerSettings {
  ApiOptions api;
  HttpServerOptions http;
  std::chrono::milliseconds grace{10'000};  // for answers under way when the server is told to end
};

// Serves until `stop` says so (interrupted(), for programs): then nothing new is taken, answers under way may come to
// their end within the grace time, and those that have not are broken off with an error. `listening` gets the address.
// Raises Error as HttpServer does.
void run_server(TokenEngine& engine, ServedModel model, const ServerSettings& settings,
                const std::function<void(const HttpServer& server)>& listening, const std::function<bool()>& stop);

// The same for any service; its options must know whether the address is a loopback one.
void serve_until(ApiFrame& service, const ServerSettings& settings,
                 const std::function<void(const HttpServer& server)>& listening, const std::function<bool()>& stop);

// Whether only programs of this machine reach a server on this address.
bool is_loopback(const std::string& host);

}  // namespace kinglet
