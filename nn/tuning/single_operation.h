// Graphs of one operation whose operands are external: what benchmarks measure and what the tuner
// compares variants with. FLOP counts are those of the plain algorithm, a multiply-add as two;
// bytes are the least traffic: each operand read once, the result written once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/executable.h"
#include "nn/ops/conv2d.h"
#include "nn/ops/conv2d_variants.h"
#include "nn/ops/gemm.h"
#include "nn/parameters.h"

namespace vktrain::nn {

struct GemmCase {
  GemmForm form{};
  std::int64_t m = 0, n = 0, k = 0;
  Precision precision = Precision::f32;
  bool may_split = true;  // K
};

struct Conv2dCase {
  Conv2dPass pass{};
  std::int64_t batch = 0, in_channels = 0, out_channels = 0;
  Size2d input;  // of the forward pass, in every pass
  Conv2dOptions options;
  Precision precision = Precision::f32;
  bool pooled = false;  // by tiles of 2 x 2: see Conv2dEpilogue
};

std::string to_string(const GemmCase& c);    // "gemm nt 512 x 100 x 784"
std::string to_string(const Conv2dCase& c);  // "conv2d forward [64, 8, 14, 14] -> 16, 3 x 3"

struct SingleOperation {
  ParameterSet parameters;  // empty; the graph points to it
  Graph graph{parameters};
  std::vector<ValueId> operands;  // external, a copy for each replica
  ValueId result = kNoValue;      // kept
  double flops = 0;               // of one replica
  double bytes = 0;

  SingleOperation() = default;
  SingleOperation(const SingleOperation&) = delete;
  SingleOperation& operator=(const SingleOperation&) = delete;
};

// Throw Error, naming the case, when a size is below 1, a value would have more than 2^40 elements,
// the window does not fit the input, or the output cannot be pooled by tiles.
std::unique_ptr<SingleOperation> single_gemm(const GemmCase& c);
std::unique_ptr<SingleOperation> single_conv2d(const Conv2dCase& c);

// A size below 2 * tile that has the same remainder modulo the tile: of a probe that the reference
// computes, too.
std::int64_t capped_size(std::int64_t size, std::int64_t tile);

// Numbers in [-1, 1) for an operand, of which mixed precision rounds none; the same seed and
// operand give the same numbers everywhere. For packed winners, their bits.
std::vector<float> operand_values(const SingleOperation& single, std::size_t operand,
                                  std::uint64_t seed);
// The same for the reference.
std::vector<double> reference_values(const SingleOperation& single, std::size_t operand,
                                     std::uint64_t seed);
// Writes them to every operand, the same to all replicas.
void fill_operands(const SingleOperation& single, Executable& executable, std::uint64_t seed);

}  // namespace vktrain::nn
