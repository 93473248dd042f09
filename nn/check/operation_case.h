// One operation, or a few, on the device and beside them the double-precision reference: what the
// conformance suite and the tests of operations run.
//
// An operation is tested in the middle of a graph:
//
//   x = input + pre.bias        (so that a gradient flows through the operation)
//   y = build(x)
//   z = y + x                   (where the shapes agree: x has two uses, gradients add up)
//   mean of loss = sum of z * dz, with a random dz
//
// The graph is differentiated, planned with memory of its own for every value, and run. Before the
// run all activations and gradients hold NaN, so that an element that no kernel writes is found,
// and the padding of inputs holds 1e30. Afterwards every output of every operation is compared with
// the operation's reference applied to the inputs that the device itself computed: errors do not
// add up along the graph.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "nn/check/tolerance.h"
#include "nn/executable.h"
#include "nn/operation.h"
#include "nn/reference/reference_memory.h"
#include "nn/rng.h"

namespace vktrain::nn {

struct OperationCase {
  std::int64_t batch = 1;
  std::int64_t columns = 1;
  std::uint32_t replicas = 2;
  std::uint64_t seed = 1;
  std::uint32_t runs = 1;      // of the graph one after the other, each compared
  bool input_gradient = true;  // false: x is the external input itself

  std::function<ValueId(Graph&, ValueId x)> build = nullptr;
  // Instead of `build`: makes the whole graph, which is not differentiated. Gradients that no
  // operation of it makes are inputs.
  std::function<void(Graph&)> build_whole = nullptr;
  // Applied to the differentiated graph, such as fusions.
  std::function<void(Graph&)> rewrite = nullptr;
  // See PlanOptions::plan_for.
  std::optional<runtime::DeviceProfile> plan_for = std::nullopt;
  // Every operation that has such a candidate takes the first one whose name begins so ("shuffle
  // 8x8" is not "shuffle 8x8 transposed"); empty: the proposals.
  std::string kernel = "";
  // Initial words of an external, parameter or state; nullopt: N(0, 1), or 0 for integers.
  std::function<std::optional<std::vector<std::uint32_t>>(const Value&, std::size_t count,
                                                          std::uint32_t replica, PhiloxRng&)>
      fill = nullptr;
  // Of one output of an operation; nullopt: what tolerance_of gives.
  std::function<std::optional<Tolerance>(const Operation&, ValueId output, const ReferenceMemory&)>
      tolerance = nullptr;
  // Outputs whose comparison is left to the caller.
  std::function<bool(const Value&)> ignore = nullptr;
  // Initial value of each slot of optimizer state.
  std::vector<float> optimizer_fill = {};
};

std::vector<std::uint32_t> words_of(const std::vector<float>& values);
// Words of a plain struct of 4-byte members, such as Hyperparameters.
template <class T>
std::vector<std::uint32_t> words_of_block(const T& block) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 4 == 0);
  std::vector<std::uint32_t> words(sizeof(T) / 4);
  std::memcpy(words.data(), &block, sizeof block);
  return words;
}
std::vector<float> normal_values(std::size_t count, PhiloxRng& rng, double mean = 0,
                                 double deviation = 1);
// Words that are numbers below n, and those of N(0, scale^2).
std::vector<std::uint32_t> draw_below(std::size_t count, std::uint32_t n, PhiloxRng& rng);
std::vector<std::uint32_t> scaled_normals(std::size_t count, double scale, PhiloxRng& rng);

// A differentiated graph of a case and its inputs for each replica.
class CaseGraph {
 public:
  explicit CaseGraph(const OperationCase& c);

  ParameterSet parameters;
  Graph graph{parameters};
  std::optional<runtime::DeviceProfile> plan_for;
  std::string kernel;
  std::vector<float> optimizer_fill;
  ValueId x = kNoValue, y = kNoValue, loss = kNoValue;                // kNoValue with build_whole
  std::vector<std::map<ValueId, std::vector<std::uint32_t>>> inputs;  // [replica]

 private:
  void build_chain(const OperationCase& c);
  void draw_inputs(const OperationCase& c);
};

// A CaseGraph on the device. `first` is the replica of the CaseGraph that replica 0 stands for.
class CaseRun {
 public:
  // Without `variants`: what the case's `kernel` asks for.
  CaseRun(runtime::Device& device, const CaseGraph& ops, std::int64_t batch, std::uint32_t replicas,
          std::uint32_t first = 0, std::shared_ptr<const VariantChoices> variants = nullptr);

  void run();
  // Whether the value has memory: rewrites leave values behind that no operation makes.
  bool has(ValueId id) const;
  const Plan& plan() const { return executable_.plan(); }
  const ParameterStorage& storage() const { return storage_; }
  // Words without padding.
  std::vector<std::uint32_t> words(ValueId id, std::uint32_t replica) const;
  std::vector<float> floats(ValueId id, std::uint32_t replica) const;
  std::vector<std::uint32_t> padding(ValueId id, std::uint32_t replica) const;
  void write(ValueId id, const std::vector<std::uint32_t>& words, std::uint32_t replica);

 private:
  Lowering layouts() const;
  std::vector<std::uint32_t> download(ValueId id, std::uint32_t replica) const;
  void poison();

  runtime::Device* device_;
  const CaseGraph* ops_;
  std::int64_t batch_;
  std::uint32_t replicas_;
  ParameterStorage storage_;
  Executable executable_;
};

// The case's inputs of a replica in double, everything else 0.
ReferenceMemory reference_memory(const CaseGraph& ops, std::int64_t batch, std::uint32_t replica);

}  // namespace vktrain::nn
