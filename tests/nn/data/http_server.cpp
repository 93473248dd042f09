// See http_server.h.
#include "tests/nn/data/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace vktrain::nn {

namespace {

void require(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("test server: ") + what);
}

bool send_all(int connection, const void* data, std::size_t size) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t sent = ::send(connection, bytes, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

bool send_text(int connection, const std::string& text) {
  return send_all(connection, text.data(), text.size());
}

std::string read_request(int connection) {
  std::string text;
  char buffer[1024];
  while (text.find("\r\n\r\n") == std::string::npos) {
    const ssize_t got = ::recv(connection, buffer, sizeof buffer, 0);
    if (got <= 0) return {};
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

HttpServer::Request parse(const std::string& text) {
  HttpServer::Request request;
  const std::size_t begin = text.find(' ') + 1;
  request.path = text.substr(begin, text.find(' ', begin) - begin);
  const std::string key = "Range: bytes=";
  if (const std::size_t at = text.find(key); at != std::string::npos) {
    request.offset = std::stoll(text.substr(at + key.size()));
  }
  return request;
}

}  // namespace

HttpServer::HttpServer(std::map<std::string, std::vector<std::uint8_t>> files)
    : files_(std::move(files)) {
  int ends[2] = {-1, -1};
  require(::pipe(ends) == 0, "no pipe");
  stop_read_ = FileDescriptor(ends[0]);
  stop_write_ = FileDescriptor(ends[1]);
  listener_ = FileDescriptor(::socket(AF_INET, SOCK_STREAM, 0));
  require(static_cast<bool>(listener_), "no socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  require(::bind(listener_.get(), generic, size) == 0, "cannot bind");
  require(::listen(listener_.get(), 8) == 0, "cannot listen");
  require(::getsockname(listener_.get(), generic, &size) == 0, "no port");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

HttpServer::~HttpServer() {
  stop_write_.reset();
  thread_.join();
}

std::string HttpServer::url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

void HttpServer::set(Behaviour behaviour) {
  const std::lock_guard lock(mutex_);
  behaviour_ = std::move(behaviour);
}

std::vector<HttpServer::Request> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::serve() {
  for (;;) {
    pollfd waits[2] = {{listener_.get(), POLLIN, 0}, {stop_read_.get(), POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0 || waits[1].revents != 0) return;
    const FileDescriptor connection(::accept(listener_.get(), nullptr, nullptr));
    if (connection) answer(connection.get());
  }
}

void HttpServer::answer(int connection) {
  const std::string text = read_request(connection);
  if (text.empty()) return;
  const Request request = parse(text);
  Behaviour behaviour;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    behaviour = behaviour_;
  }
  if (!behaviour.redirect.empty() && request.path != behaviour.redirect) {
    send_text(connection, "HTTP/1.1 302 Found\r\nLocation: " + behaviour.redirect +
                              "\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmove");
    return;
  }
  const auto found = files_.find(request.path.substr(1));
  if (found == files_.end()) {
    send_text(connection,
              "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot found");
    return;
  }
  send_file(connection, request, behaviour, found->second);
}

void HttpServer::send_file(int connection, const Request& request, const Behaviour& behaviour,
                           const std::vector<std::uint8_t>& bytes) {
  const auto size = static_cast<std::int64_t>(bytes.size());
  const bool partial = behaviour.ranges && request.offset.has_value();
  if (partial && *request.offset >= size) {
    send_text(connection, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */" +
                              std::to_string(size) +
                              "\r\nContent-Length: 5\r\nConnection: close\r\n\r\nrange");
    return;
  }
  const std::int64_t begin = partial ? *request.offset + behaviour.range_error : 0;
  std::string head = partial ? "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " +
                                   std::to_string(begin) + "-" + std::to_string(size - 1) + "/" +
                                   std::to_string(size) + "\r\n"
                             : "HTTP/1.1 200 OK\r\n";
  head += "Content-Length: " + std::to_string(size - begin) + "\r\nConnection: close\r\n\r\n";
  if (!send_text(connection, head)) return;
  const auto length = static_cast<std::size_t>(size - begin);
  const std::size_t sent =
      std::min({length, behaviour.cut.value_or(length), behaviour.stall.value_or(length)});
  if (!send_all(connection, bytes.data() + begin, sent)) return;
  if (behaviour.stall) {
    // Until the client hangs up.
    char byte = 0;
    while (::recv(connection, &byte, 1, 0) > 0) {
    }
  }
}

}  // namespace vktrain::nn
