// Tensors in a file, in the safetensors format (https://github.com/huggingface/safetensors): eight
// bytes of header length, a JSON header, then the tensors' bytes, all little-endian. PyTorch's
// load_state_dict takes what is written here, and the other way round.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vktrain::nn {

struct SafeTensor {
  std::string name;
  std::string dtype;                // "F32", "I64", ...
  std::vector<std::int64_t> shape;  // [] is a scalar
  std::vector<std::byte> data;      // little-endian, row-major

  bool operator==(const SafeTensor&) const = default;
};

struct SafeTensors {
  std::vector<SafeTensor> tensors;  // in the header's order
  std::map<std::string, std::string> metadata;

  const SafeTensor* find(std::string_view name) const;  // nullptr when there is none

  bool operator==(const SafeTensors&) const = default;
};

// Bytes of one element; 0 for a type that the format does not know.
std::size_t safetensors_element_size(std::string_view dtype);

// Throws Error, which names the file and what is wrong with it: header longer than the file or not
// JSON, duplicate names, unknown type, sizes and offsets that don't fit, overlap or leave holes.
SafeTensors read_safetensors(const std::filesystem::path& path);

// Writes atomically; the same tensors give the same bytes. Header keys come in the given order,
// data with the widest elements first, so that every tensor is aligned. Throws Error for duplicate
// names, unknown types and data that does not fit its shape, before anything is written.
void write_safetensors(const std::filesystem::path& path, const SafeTensors& file);

// A tensor from host values, and back; the byte order of the file is taken care of. The way back
// throws Error for another type.
SafeTensor make_f32_tensor(std::string name, std::vector<std::int64_t> shape,
                           std::span<const float> values);
SafeTensor make_i64_tensor(std::string name, std::vector<std::int64_t> shape,
                           std::span<const std::int64_t> values);
std::vector<float> f32_values(const SafeTensor& tensor);
std::vector<std::int64_t> i64_values(const SafeTensor& tensor);

}  // namespace vktrain::nn
