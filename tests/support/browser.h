// A headless Chromium that runs expressions in a page, over its remote-debugging pipe.
#pragma once

#include <array>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/temporary_folder.h"

namespace kinglet::testing_support {

// Nothing where no Chromium is installed.
inline std::optional<std::filesystem::path> find_browser() {
  for (const char* name : {"chromium", "chromium-browser", "google-chrome", "chrome"}) {
    for (const char* folder : {"/usr/bin", "/usr/local/bin", "/snap/bin"}) {
      const std::filesystem::path path = std::filesystem::path(folder) / name;
      if (access(path.c_str(), X_OK) == 0) return path;
    }
  }
  return std::nullopt;
}

class Browser {
 public:
  explicit Browser(const std::filesystem::path& program, int width = 1200, int height = 800) {
    std::array<int, 2> commands{}, answers{};
    if (pipe2(commands.data(), O_CLOEXEC) != 0 || pipe2(answers.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("no pipe");
    }
    const std::vector<std::string> arguments = {program.string(),
                                                "--headless=new",
                                                "--no-sandbox",
                                                "--disable-gpu",
                                                "--disable-dev-shm-usage",
                                                "--no-first-run",
                                                "--disable-extensions",
                                                "--remote-debugging-pipe",
                                                "--hide-scrollbars",
                                                "--window-size=" + std::to_string(width) + "," + std::to_string(height),
                                                "--user-data-dir=" + folder_.path().string(),
                                                "about:blank"};
    child_ = fork();
    if (child_ == 0) {
      setpgid(0, 0);
      // Chromium reads commands from descriptor 3 and answers on 4, whatever these are now.
      const int in = fcntl(commands[0], F_DUPFD, 10), out = fcntl(answers[1], F_DUPFD, 10);
      dup2(in, 3);
      dup2(out, 4);
      const int nowhere = open("/dev/null", O_RDWR);
      dup2(nowhere, STDIN_FILENO);
      dup2(nowhere, STDOUT_FILENO);
      dup2(nowhere, STDERR_FILENO);
      std::vector<char*> argv;
      for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(commands[0]);
    close(answers[1]);
    commands_ = commands[1];
    answers_ = answers[0];
    signal(SIGPIPE, SIG_IGN);
  }
  ~Browser() {
    close(commands_);  // Chromium ends when its pipe does
    close(answers_);
    for (int i = 0; i < 200 && waitpid(child_, nullptr, WNOHANG) == 0; ++i) usleep(10'000);
    kill(-child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  Browser(const Browser&) = delete;
  Browser& operator=(const Browser&) = delete;

  void open_page(const std::string& url) {
    const auto target = call("Target.createTarget", {{"url", url}});
    session_ = call("Target.attachToTarget", {{"targetId", target.at("targetId")}, {"flatten", true}}).at("sessionId");
    call("Page.enable", nlohmann::json::object());
  }
  void emulate(const nlohmann::json& media_features) {
    call("Emulation.setEmulatedMedia", {{"features", media_features}});
  }

  // The value of a JavaScript expression; promises are waited for.
  nlohmann::json evaluate(const std::string& expression) {
    const auto result =
        call("Runtime.evaluate", {{"expression", expression}, {"returnByValue", true}, {"awaitPromise", true}});
    if (result.contains("exceptionDetails")) throw std::runtime_error(result["exceptionDetails"].dump());
    return result.at("result").value("value", nlohmann::json());
  }
  bool wait_until(const std::string& condition, int seconds = 20) {
    for (int i = 0; i < seconds * 20; ++i) {
      if (evaluate("Boolean(" + condition + ")") == true) return true;
      usleep(50'000);
    }
    return false;
  }
  void press(const std::string& key, const std::string& text = {}) {
    nlohmann::json down = {{"type", "keyDown"}, {"key", key}, {"code", key}};
    if (!text.empty()) down["text"] = text;
    if (key == "Enter") down["windowsVirtualKeyCode"] = 13;
    call("Input.dispatchKeyEvent", down);
    call("Input.dispatchKeyEvent", {{"type", "keyUp"}, {"key", key}, {"code", key}});
  }
  void type(const std::string& text) { call("Input.insertText", {{"text", text}}); }
  void move_mouse(double x, double y) {
    call("Input.dispatchMouseEvent", {{"type", "mouseMoved"}, {"x", x}, {"y", y}});
  }
  std::string screenshot() {  // base64 of a PNG
    return call("Page.captureScreenshot", {{"format", "png"}}).at("data");
  }

 private:
  nlohmann::json call(const std::string& method, const nlohmann::json& parameters) {
    nlohmann::json message = {{"id", ++last_id_}, {"method", method}, {"params", parameters}};
    if (!session_.empty()) message["sessionId"] = session_;
    const std::string text = message.dump();
    if (write(commands_, text.c_str(), text.size() + 1) != static_cast<ssize_t>(text.size() + 1)) {
      throw std::runtime_error("the browser is gone");
    }
    for (;;) {
      const nlohmann::json answer = nlohmann::json::parse(read_message());
      if (answer.value("id", 0) != last_id_) continue;  // an event
      if (answer.contains("error")) throw std::runtime_error(method + ": " + answer["error"].dump());
      return answer.at("result");
    }
  }
  std::string read_message() {
    std::size_t end = 0;
    while ((end = received_.find('\0')) == std::string::npos) {
      pollfd ready{answers_, POLLIN, 0};
      if (poll(&ready, 1, 60'000) != 1) throw std::runtime_error("the browser does not answer");
      char bytes[65536];
      const ssize_t got = read(answers_, bytes, sizeof(bytes));
      if (got <= 0) throw std::runtime_error("the browser is gone");
      received_.append(bytes, static_cast<std::size_t>(got));
    }
    std::string message = received_.substr(0, end);
    received_.erase(0, end + 1);
    return message;
  }

  TemporaryFolder folder_;
  pid_t child_ = -1;
  int commands_ = -1, answers_ = -1, last_id_ = 0;
  std::string session_, received_;
};

}  // namespace kinglet::testing_support
