// A server whose "model" says what it is told, for trying clients by hand: build/tests/scripted_server [PORT [TEXT]].
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/test_server.h"

#include "kinglet/base/interrupt.h"
#include "kinglet/serve/run_server.h"

int main(int argc, char** argv) {
  using namespace kinglet;
  using namespace kinglet::testing_support;
  install_interrupt_handler();
  ScriptedEngine::Options options;
  options.step = std::chrono::milliseconds(15);
  options.positions = 4096;
  options.next = saying(argc > 2 ? argv[2] : "Kinglets are tiny birds: about nine centimetres long. \U0001F426");
  ScriptedEngine engine(options);
  ServerSettings settings;
  settings.http.port = argc > 1 ? std::atoi(argv[1]) : 8080;
  if (const char* key = std::getenv("KINGLET_API_KEY")) settings.api.api_key = key;
  run_server(
      engine, TestServer::model(true), settings,
      [](const HttpServer& server) {
        std::printf("%s\n", server.url().c_str());
        std::fflush(stdout);
      },
      [] { return interrupted(); });
  return 0;
}
