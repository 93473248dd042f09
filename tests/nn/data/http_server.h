// A small HTTP/1.1 server on the loopback interface for tests: one thread, one connection at a
// time, one response a connection, with faults on request.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/file_descriptor.h"

namespace vktrain::nn {

class HttpServer {
 public:
  struct Request {
    std::string path;                    // "/name"
    std::optional<std::int64_t> offset;  // of "Range: bytes=N-"
  };
  struct Behaviour {
    bool ranges = true;                // false: answers 200 and the whole file to any range
    std::optional<std::size_t> cut;    // closes the connection after so many bytes of a body
    std::optional<std::size_t> stall;  // sends so many bytes, then nothing more
    std::int64_t range_error = 0;      // continues so many bytes away from where it was asked to
    std::string redirect;              // answers 302 to this path for every other path
  };

  explicit HttpServer(std::map<std::string, std::vector<std::uint8_t>> files);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url() const;  // "http://127.0.0.1:PORT/"
  void set(Behaviour behaviour);
  std::vector<Request> requests() const;

 private:
  void serve();
  void answer(int connection);
  void send_file(int connection, const Request& request, const Behaviour& behaviour,
                 const std::vector<std::uint8_t>& bytes);

  std::map<std::string, std::vector<std::uint8_t>> files_;  // path without the slash
  FileDescriptor listener_;
  FileDescriptor stop_read_, stop_write_;  // a pipe that ends the thread's waiting
  int port_ = 0;
  mutable std::mutex mutex_;
  Behaviour behaviour_;
  std::vector<Request> requests_;
  std::thread thread_;
};

}  // namespace vktrain::nn
