// See safetensors.h. The checks are those of the reference implementation's `SafeTensors::
// deserialize`: names once, sizes that fit, data without overlap or hole.
#include "nn/io/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "runtime/atomic_file.h"
#include "runtime/error.h"

namespace vktrain::nn {

namespace {

using nlohmann::json;

constexpr std::string_view kMetadata = "__metadata__";
// The reference implementation's limit.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kLengthBytes = 8;

struct ElementType {
  std::string_view name;
  std::size_t size;
};
constexpr std::array<ElementType, 15> kElementTypes{{{"BOOL", 1},
                                                     {"U8", 1},
                                                     {"I8", 1},
                                                     {"F8_E5M2", 1},
                                                     {"F8_E4M3", 1},
                                                     {"I16", 2},
                                                     {"U16", 2},
                                                     {"F16", 2},
                                                     {"BF16", 2},
                                                     {"I32", 4},
                                                     {"U32", 4},
                                                     {"F32", 4},
                                                     {"F64", 8},
                                                     {"I64", 8},
                                                     {"U64", 8}}};

// Bytes of a tensor, or nothing when they don't fit 63 bits.
std::optional<std::int64_t> byte_size(std::span<const std::int64_t> shape, std::size_t element) {
  // A 0 first: [2^40, 2^40, 0] has no bytes and no overflow.
  if (std::ranges::find(shape, 0) != shape.end()) return 0;
  auto size = static_cast<std::int64_t>(element);
  for (const std::int64_t dim : shape) {
    if (size > std::numeric_limits<std::int64_t>::max() / dim) return std::nullopt;
    size *= dim;
  }
  return size;
}

// Where a tensor lies in the data section.
struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class SafeTensorsReader {
 public:
  explicit SafeTensorsReader(const std::filesystem::path& path) : name_(path.string()) {
    require_regular_file(path);
    stream_.open(path, std::ios::binary);
    if (!stream_) throw Error(fmt::format("cannot read '{}'.", name_));
    file_size_ = std::filesystem::file_size(path);
  }

  SafeTensors read() {
    const std::string text = read_header_text();
    const json header = parse_header(text);
    SafeTensors result;
    std::vector<Extent> extents;
    for (const std::string& key : keys_) {
      if (key == kMetadata) {
        result.metadata = parse_metadata(header.at(key));
      } else {
        result.tensors.push_back(parse_tensor(key, header.at(key), extents));
      }
    }
    check_extents(result.tensors, extents);
    for (std::size_t i = 0; i < extents.size(); ++i) {
      read_data(extents[i], result.tensors[i].data);
    }
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("'{}' is not a valid safetensors file: {}.", name_, what));
  }

  void read_bytes(std::span<std::byte> bytes) {
    stream_.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!stream_) fail(fmt::format("it ended while {} bytes were read", bytes.size()));
  }

  std::string read_header_text() {
    if (file_size_ < kLengthBytes) {
      fail(fmt::format("expected at least {} bytes, found {}", kLengthBytes, file_size_));
    }
    std::array<std::byte, kLengthBytes> bytes{};
    read_bytes(bytes);
    std::uint64_t length = 0;
    for (std::size_t i = kLengthBytes; i-- > 0;) {
      length = length << 8 | std::to_integer<std::uint64_t>(bytes[i]);
    }
    const std::uint64_t limit = std::min<std::uint64_t>(file_size_ - kLengthBytes, kMaxHeaderBytes);
    if (length > limit) {
      fail(fmt::format("its header claims {} bytes, but at most {} fit", length, limit));
    }
    std::string text(static_cast<std::size_t>(length), '\0');
    read_bytes(std::as_writable_bytes(std::span(text)));
    data_start_ = kLengthBytes + length;
    return text;
  }

  // Notes the order of the names, which the parsed object loses, and refuses what the format does
  // not allow before it takes memory: duplicate keys, deep nesting.
  json parse_header(const std::string& text) {
    std::array<std::set<std::string>, 4> seen;  // keys of the object that is open at each depth
    const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
      if (depth > 3) fail("its header is nested too deeply");
      const auto level = static_cast<std::size_t>(depth);
      if (event == json::parse_event_t::object_start && level + 1 < seen.size()) {
        seen[level + 1].clear();
      }
      if (event == json::parse_event_t::key) {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!seen[level].insert(key).second) fail(fmt::format("'{}' appears twice", key));
        if (depth == 1) keys_.push_back(key);
      }
      return true;
    };
    try {
      json header = json::parse(text, watch);
      if (!header.is_object()) fail("its header is not a JSON object");
      return header;
    } catch (const json::parse_error& error) {
      fail(fmt::format("its header is not JSON (byte {})", error.byte));
    } catch (const json::exception&) {
      fail("its header holds a number out of range");
    }
  }

  std::map<std::string, std::string> parse_metadata(const json& object) const {
    if (!object.is_object()) fail("its metadata is not a JSON object");
    std::map<std::string, std::string> metadata;
    for (const auto& [key, value] : object.items()) {
      if (!value.is_string()) fail(fmt::format("its metadata '{}' is not a string", key));
      metadata[key] = value.get<std::string>();
    }
    return metadata;
  }

  SafeTensor parse_tensor(const std::string& name, const json& entry,
                          std::vector<Extent>& extents) const {
    if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
        !entry.contains("shape") || !entry.contains("data_offsets")) {
      fail(fmt::format("tensor '{}' has not just a dtype, a shape and data_offsets", name));
    }
    if (!entry["dtype"].is_string()) fail(fmt::format("dtype of '{}' is not a string", name));
    SafeTensor tensor;
    tensor.name = name;
    tensor.dtype = entry["dtype"].get<std::string>();
    const std::size_t element = safetensors_element_size(tensor.dtype);
    if (element == 0)
      fail(fmt::format("tensor '{}' has the unknown type '{}'", name, tensor.dtype));

    for (const std::uint64_t dim : unsigned_list(name, "shape", entry["shape"])) {
      tensor.shape.push_back(static_cast<std::int64_t>(dim));
    }
    const auto size = byte_size(tensor.shape, element);
    if (!size) fail(fmt::format("tensor '{}' is too large", name));

    const auto offsets = unsigned_list(name, "data_offsets", entry["data_offsets"]);
    const std::uint64_t available = file_size_ - data_start_;
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > available) {
      fail(fmt::format("tensor '{}' has offsets [{}], expected two, ascending, within {} bytes",
                       name, fmt::join(offsets, ", "), available));
    }
    if (offsets[1] - offsets[0] != static_cast<std::uint64_t>(*size)) {
      fail(fmt::format("tensor '{}' of shape [{}] and type {} needs {} bytes, its offsets give {}",
                       name, fmt::join(tensor.shape, ", "), tensor.dtype, *size,
                       offsets[1] - offsets[0]));
    }
    extents.push_back({offsets[0], offsets[1]});
    return tensor;
  }

  std::vector<std::uint64_t> unsigned_list(const std::string& name, std::string_view key,
                                           const json& list) const {
    std::vector<std::uint64_t> numbers;
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    bool good = list.is_array();
    for (std::size_t i = 0; good && i < list.size(); ++i) {
      good = list[i].is_number_unsigned() && list[i].get<std::uint64_t>() <= kMax;
      if (good) numbers.push_back(list[i].get<std::uint64_t>());
    }
    if (!good) fail(fmt::format("{} of '{}' is not a list of numbers from 0 on", key, name));
    return numbers;
  }

  void check_extents(std::span<const SafeTensor> tensors, std::span<const Extent> extents) const {
    std::vector<std::size_t> order(extents.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {},
                      [&](std::size_t i) { return std::pair(extents[i].begin, extents[i].end); });
    std::uint64_t position = 0;
    for (const std::size_t i : order) {
      if (extents[i].begin != position) {
        fail(fmt::format("the data of '{}' starts at {}, expected {}: data overlaps or has a hole",
                         tensors[i].name, extents[i].begin, position));
      }
      position = extents[i].end;
    }
    if (position != file_size_ - data_start_) {
      fail(fmt::format("expected {} bytes of data, found {}", position, file_size_ - data_start_));
    }
  }

  void read_data(Extent extent, std::vector<std::byte>& data) {
    stream_.seekg(static_cast<std::streamoff>(data_start_ + extent.begin));
    data.resize(static_cast<std::size_t>(extent.end - extent.begin));
    read_bytes(data);
  }

  std::string name_;
  std::ifstream stream_;
  std::uint64_t file_size_ = 0;
  std::uint64_t data_start_ = 0;
  std::vector<std::string> keys_;
};

// Throws Error for what the reader would refuse.
void check_writable(const SafeTensors& file) {
  std::set<std::string_view> names;
  for (const SafeTensor& tensor : file.tensors) {
    if (tensor.name == kMetadata || !names.insert(tensor.name).second) {
      throw Error(fmt::format("cannot write tensor '{}': the name is {}.", tensor.name,
                              tensor.name == kMetadata ? "reserved" : "used twice"));
    }
    const std::size_t element = safetensors_element_size(tensor.dtype);
    if (element == 0) {
      throw Error(fmt::format("cannot write tensor '{}': its type '{}' is unknown.", tensor.name,
                              tensor.dtype));
    }
    const bool negative = std::ranges::any_of(tensor.shape, [](auto dim) { return dim < 0; });
    const auto size = negative ? std::nullopt : byte_size(tensor.shape, element);
    if (!size || static_cast<std::uint64_t>(*size) != tensor.data.size()) {
      throw Error(fmt::format(
          "cannot write tensor '{}': shape [{}] and type {} don't fit {} bytes.", tensor.name,
          fmt::join(tensor.shape, ", "), tensor.dtype, tensor.data.size()));
    }
  }
}

// Indices of the tensors in the order of their data.
std::vector<std::size_t> data_order(std::span<const SafeTensor> tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) {
    return safetensors_element_size(tensors[i].dtype);
  });
  return order;
}

std::string header_text(const SafeTensors& file, std::span<const Extent> extents) {
  std::string text = "{";
  if (!file.metadata.empty()) {
    text += fmt::format("\"{}\":{}", kMetadata, json(file.metadata).dump());
  }
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    const SafeTensor& tensor = file.tensors[i];
    text += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        text.size() > 1 ? "," : "", json(tensor.name).dump(), tensor.dtype,
                        fmt::join(tensor.shape, ","), extents[i].begin, extents[i].end);
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

template <class T>
SafeTensor make_tensor(std::string name, std::string dtype, std::vector<std::int64_t> shape,
                       std::span<const T> values) {
  SafeTensor tensor{std::move(name), std::move(dtype), std::move(shape), {}};
  const auto bytes = std::as_bytes(values);
  tensor.data.assign(bytes.begin(), bytes.end());
  if constexpr (std::endian::native == std::endian::big) {
    for (std::size_t i = 0; i < tensor.data.size(); i += sizeof(T)) {
      std::reverse(tensor.data.begin() + i, tensor.data.begin() + i + sizeof(T));
    }
  }
  return tensor;
}

template <class T>
std::vector<T> values_of(const SafeTensor& tensor, std::string_view dtype) {
  if (tensor.dtype != dtype) {
    throw Error(fmt::format("tensor '{}' has the wrong type: expected {}, found {}.", tensor.name,
                            dtype, tensor.dtype));
  }
  std::vector<T> values(tensor.data.size() / sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), tensor.data.data() + i * sizeof(T), sizeof(T));
    if constexpr (std::endian::native == std::endian::big) std::ranges::reverse(bytes);
    values[i] = std::bit_cast<T>(bytes);
  }
  return values;
}

}  // namespace

const SafeTensor* SafeTensors::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &SafeTensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

std::size_t safetensors_element_size(std::string_view dtype) {
  const auto* found = std::ranges::find(kElementTypes, dtype, &ElementType::name);
  return found == kElementTypes.end() ? 0 : found->size;
}

SafeTensors read_safetensors(const std::filesystem::path& path) {
  return SafeTensorsReader(path).read();
}

void write_safetensors(const std::filesystem::path& path, const SafeTensors& file) {
  check_writable(file);
  const std::vector<std::size_t> order = data_order(file.tensors);
  std::vector<Extent> extents(file.tensors.size());
  std::uint64_t position = 0;
  for (const std::size_t i : order) {
    extents[i] = {position, position + file.tensors[i].data.size()};
    position = extents[i].end;
  }
  std::string header;
  try {
    header = header_text(file, extents);
  } catch (const json::exception&) {
    throw Error(fmt::format("cannot write '{}': a tensor's name or the metadata is not UTF-8.",
                            path.string()));
  }

  std::vector<std::byte> bytes(kLengthBytes + header.size() + position);
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    bytes[i] = static_cast<std::byte>(std::uint64_t{header.size()} >> (8 * i) & 0xff);
  }
  std::memcpy(bytes.data() + kLengthBytes, header.data(), header.size());
  for (std::size_t i = 0; i < extents.size(); ++i) {
    std::ranges::copy(file.tensors[i].data,
                      bytes.data() + kLengthBytes + header.size() + extents[i].begin);
  }
  write_file_atomically(path, bytes);
}

SafeTensor make_f32_tensor(std::string name, std::vector<std::int64_t> shape,
                           std::span<const float> values) {
  return make_tensor(std::move(name), "F32", std::move(shape), values);
}
SafeTensor make_i64_tensor(std::string name, std::vector<std::int64_t> shape,
                           std::span<const std::int64_t> values) {
  return make_tensor(std::move(name), "I64", std::move(shape), values);
}
std::vector<float> f32_values(const SafeTensor& tensor) { return values_of<float>(tensor, "F32"); }
std::vector<std::int64_t> i64_values(const SafeTensor& tensor) {
  return values_of<std::int64_t>(tensor, "I64");
}

}  // namespace vktrain::nn
