// See http_download.h. The range is asked for with CURLOPT_RANGE rather than
// CURLOPT_RESUME_FROM_LARGE: the latter fails on a server that ignores ranges, where starting
// afresh is right.
#include <curl/curl.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "nn/data/http_download.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::nn {

namespace {

struct CurlCleanup {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};

constexpr long kOk = 200;
constexpr long kPartialContent = 206;
constexpr long kRangeNotSatisfiable = 416;

// First byte of "Content-Range: bytes FIRST-LAST/TOTAL" in any case, or nothing.
std::optional<std::int64_t> range_start(std::string_view header) {
  constexpr std::string_view kPrefix = "content-range: bytes ";
  if (header.size() < kPrefix.size()) return std::nullopt;
  for (std::size_t i = 0; i < kPrefix.size(); ++i) {
    const char c = header[i];
    if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != kPrefix[i]) return std::nullopt;
  }
  std::int64_t first = -1;
  const char* begin = header.data() + kPrefix.size();
  const auto [end, error] = std::from_chars(begin, header.data() + header.size(), first);
  if (error != std::errc() || end == header.data() + header.size() || *end != '-') {
    return std::nullopt;
  }
  return first;
}

class Transfer {
 public:
  Transfer(const std::string& url, const std::filesystem::path& part, const HttpOptions& options)
      : url_(url), part_(part), options_(options), curl_(curl_easy_init()) {
    if (!curl_) throw Error("libcurl cannot start.");
    // Before it is opened: that could wait for ever on a pipe.
    if (std::filesystem::exists(part)) require_regular_file(part);
    file_ = open_file(part, OpenMode::update);
    if (!file_) throw file_error("write", part);
    set_size(static_cast<std::int64_t>(std::filesystem::file_size(part)));
  }

  void run() {
    if (perform() == kRangeNotSatisfiable && offset_ > 0) {
      // The file here is no shorter than the one there: it cannot be a part of it.
      restart();
      perform();
    }
  }

 private:
  // Returns the HTTP status; throws for all but success and an unsatisfiable range.
  long perform() {
    const std::int64_t asked = offset_;
    std::array<char, CURL_ERROR_SIZE> detail{};
    configure(detail.data(), asked);
    content_range_.reset();
    started_ = false;
    const CURLcode result = curl_easy_perform(curl_.get());
    if (failure_) std::rethrow_exception(failure_);
    long status = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (result != CURLE_OK) fail(result, detail.data());
    if (status == kRangeNotSatisfiable && asked > 0) return status;
    if (status != kOk && status != kPartialContent) {
      throw Error(fmt::format("cannot download '{}': the server answered HTTP {}, expected {}.",
                              url_, status, kOk));
    }
    if (!started_) begin_body(status);  // an empty body
    return status;
  }

  void configure(char* detail, std::int64_t asked) {
    CURL* curl = curl_.get();
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_URL, url_.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "vktrain");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT,
                     static_cast<long>(options_.connect_timeout.count()));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                     static_cast<long>(options_.stall_timeout.count()));
    const std::string range = fmt::format("{}-", asked);
    curl_easy_setopt(curl, CURLOPT_RANGE, asked > 0 ? range.c_str() : nullptr);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
  }

  [[noreturn]] void fail(CURLcode result, const char* detail) const {
    std::string reason = *detail ? detail : curl_easy_strerror(result);
    while (!reason.empty() && (reason.back() == '.' || reason.back() == '\n')) reason.pop_back();
    throw Error(fmt::format("cannot download '{}': {}{}.", url_, reason,
                            offset_ > 0 ? fmt::format("; {} bytes are kept for the next try to "
                                                      "continue",
                                                      offset_)
                                        : ""));
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::string_view header(data, size);
    // Each response of a chain of redirects starts with its own status line.
    if (header.starts_with("HTTP/")) transfer.content_range_.reset();
    if (const auto start = range_start(header)) transfer.content_range_ = start;
    return size;
  }

  // No exception may pass through libcurl, which is C: it waits in failure_.
  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      transfer.take({data, size});
      return size;
    } catch (...) {
      transfer.failure_ = std::current_exception();
      return size + 1;  // libcurl's sign of failure: anything but `size`
    }
  }

  void take(std::string_view bytes) {
    long status = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status != kOk && status != kPartialContent) return;  // the page of an error
    if (!started_) begin_body(status);
    if (!write_all(file_, std::as_bytes(std::span(bytes)))) throw file_error("write", part_);
    offset_ += static_cast<std::int64_t>(bytes.size());
    if (options_.progress) options_.progress(offset_, total_);
  }

  void begin_body(long status) {
    started_ = true;
    if (status == kOk) restart();
    if (status == kPartialContent && content_range_ != offset_) {
      throw Error(
          fmt::format("cannot download '{}': asked to continue at byte {}, the server "
                      "continues elsewhere; remove '{}' to start afresh.",
                      url_, offset_, part_.string()));
    }
    curl_off_t length = -1;
    curl_easy_getinfo(curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    total_ = length >= 0 ? offset_ + length : 0;
  }

  void restart() { set_size(0); }

  void set_size(std::int64_t size) {
    if (!resize_file(file_, size)) throw file_error("write", part_);
    offset_ = size;
  }

  const std::string& url_;
  const std::filesystem::path& part_;
  const HttpOptions& options_;
  std::unique_ptr<CURL, CurlCleanup> curl_;
  FileDescriptor file_;
  std::int64_t offset_ = 0;  // bytes in the file
  std::int64_t total_ = 0;
  std::optional<std::int64_t> content_range_;
  bool started_ = false;  // the body of the final response
  std::exception_ptr failure_;
};

}  // namespace

void download(const std::string& url, const std::filesystem::path& part,
              const HttpOptions& options) {
  require_web_address(url);
  Transfer(url, part, options).run();
}

}  // namespace vktrain::nn
