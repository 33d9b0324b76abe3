// A client that sees and sends bytes as they are: for tests of servers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace kinglet::testing_support {

class Socket {
 public:
  explicit Socket(int port, int receive_buffer = 0) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) {
      ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    const timeval patience{20, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      ::close(descriptor_);
      throw std::runtime_error("cannot connect");
    }
  }
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // Empty at the end of the connection (or when it was reset, or nothing came for 20 s).
  std::string receive(std::size_t most = 65536) const {
    std::string bytes(most, '\0');
    const ssize_t got = ::recv(descriptor_, bytes.data(), bytes.size(), 0);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  std::string receive_all() const {
    std::string all;
    for (std::string piece = receive(); !piece.empty(); piece = receive()) all += piece;
    return all;
  }
  // Up to and with `end`, or to the end of the connection.
  std::string receive_until(std::string_view end) const {
    std::string all;
    while (all.find(end) == std::string::npos) {
      const std::string piece = receive();
      if (piece.empty()) break;
      all += piece;
    }
    return all;
  }

 private:
  int descriptor_;
};

struct HttpReply {
  int status = 0;
  std::string head;  // with the empty line
  std::string body;  // without chunks
  bool complete = false;

  nlohmann::json json() const { return nlohmann::json::parse(body); }
  std::string field(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
  // The data of every event of a stream.
  std::vector<std::string> events() const {
    std::vector<std::string> all;
    for (std::size_t at = 0; (at = body.find("data: ", at)) != std::string::npos;) {
      const std::size_t end = body.find("\n\n", at);
      all.push_back(body.substr(at + 6, end - at - 6));
      at = end;
    }
    return all;
  }
};

inline HttpReply parse_reply(const std::string& bytes) {
  HttpReply reply;
  const std::size_t head = bytes.find("\r\n\r\n");
  if (!bytes.starts_with("HTTP/1.1 ") || head == std::string::npos) return reply;
  reply.status = std::stoi(bytes.substr(9, 3));
  reply.head = bytes.substr(0, head + 4);
  const std::string rest = bytes.substr(head + 4);
  if (reply.field("Transfer-Encoding") != "chunked") {
    reply.body = rest;
    const std::string length = reply.field("Content-Length");
    reply.complete = !length.empty() && std::stoull(length) == rest.size();
    return reply;
  }
  for (std::size_t at = 0; at < rest.size();) {
    const std::size_t line = rest.find("\r\n", at);
    if (line == std::string::npos) break;
    const std::size_t size = std::stoull(rest.substr(at, line - at), nullptr, 16);
    if (size == 0) {
      reply.complete = true;
      break;
    }
    reply.body += rest.substr(line + 2, size);
    at = line + 2 + size + 2;
  }
  return reply;
}

inline std::string http_request(const std::string& method, const std::string& path, const std::string& body = {},
                                const std::string& fields = {}) {
  return method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + fields +
         (body.empty() && method != "POST" ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") + "\r\n" +
         body;
}

// One request on a connection of its own.
inline HttpReply ask(int port, const std::string& method, const std::string& path, const std::string& body = {},
                     const std::string& fields = {}) {
  const Socket socket(port);
  socket.send(http_request(method, path, body, fields + "Connection: close\r\n"));
  return parse_reply(socket.receive_all());
}
inline HttpReply post(int port, const std::string& path, const nlohmann::json& body, const std::string& fields = {}) {
  return ask(port, "POST", path, body.dump(), fields);
}

}  // namespace kinglet::testing_support
