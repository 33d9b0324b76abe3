#include "kinglet/serve/run_server.h"

#include <thread>

#include "kinglet/base/log.h"

namespace kinglet {
namespace {

constexpr std::chrono::milliseconds kLook{20};
constexpr std::chrono::milliseconds kFarewell{2'000};  // for the ends of answers to reach their clients

template <typename Condition>
bool wait_for(const Condition& condition, std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(kLook);
  }
  return true;
}

}  // namespace

bool is_loopback(const std::string& host) { return host.starts_with("127."); }

void run_server(TokenEngine& engine, ServedModel model, const ServerSettings& settings,
                const std::function<void(const HttpServer& server)>& listening, const std::function<bool()>& stop) {
  ApiOptions api = settings.api;
  api.loopback = is_loopback(settings.http.host);
  ApiService service(engine, std::move(model), std::move(api));
  serve_until(service, settings, listening, stop);
}

void serve_until(ApiFrame& service, const ServerSettings& settings,
                 const std::function<void(const HttpServer& server)>& listening, const std::function<bool()>& stop) {
  HttpServer server(
      settings.http, [&](const auto& request, const auto& exchange) { service.handle(request, exchange); },
      [&](int status, std::string_view message) { return service.refusal(status, message); });
  service.set_server(&server);
  listening(server);
  while (!stop()) std::this_thread::sleep_for(kLook);
  server.stop_accepting();
  if (!service.drain(settings.grace)) {
    log_warning("{} answers are broken off", service.open_sequences());
    service.cancel_all();
    service.drain(kFarewell);
  }
  wait_for([&] { return server.open_exchanges() == 0; }, kFarewell);
}

}  // namespace kinglet
