// Compares operations with their double-precision references on the device.
//
// An operation is tested in the middle of a graph:
//
//   x = input + pre.bias        (so that a gradient flows through the operation)
//   y = build(x)
//   z = y + x                   (where the shapes agree: x has two uses, gradients add up)
//   mean of loss = sum of z * dz, with a random dz
//
// The graph is differentiated, planned with memory of its own for every value, and run for several
// replicas with different random inputs. Before the run all activations and gradients hold NaN and
// the padding of inputs holds 1e30. Afterwards
//   - every output of every operation is compared with the operation's reference applied to the
//     inputs that the device itself computed: errors do not add up along the graph;
//   - padding must be finite, in gradients zero;
//   - one replica is run alone and must give the same bits.
//
// Rule for the comparison: |device - reference| <= 2^-24 (relative * |reference| + absolute), where
// `relative` counts units of rounding and `absolute` is the size of the terms that cancel in a sum
// (times the units allowed for them).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nn/executable.h"
#include "nn/operation.h"
#include "nn/reference/reference_memory.h"
#include "nn/rng.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {

struct Tolerance {
  double relative = 4;
  double absolute = 0;
};

struct OpCase {
  std::int64_t batch = 1;
  std::int64_t columns = 1;
  std::uint32_t replicas = 2;
  std::uint64_t seed = 1;
  std::uint32_t runs = 1;      // of the graph one after the other, each compared
  bool input_gradient = true;  // false: x is the external input itself

  std::function<nn::ValueId(nn::Graph&, nn::ValueId x)> build;
  // Applied to the differentiated graph, such as fusions.
  std::function<void(nn::Graph&)> rewrite = nullptr;
  // See PlanOptions::plan_for.
  std::optional<runtime::DeviceProfile> plan_for = std::nullopt;
  // Every operation that has such a candidate takes the first one whose name begins so; empty: the
  // proposals.
  std::string kernel = "";
  // Initial words of an external, parameter or state; nullopt: N(0, 1), or 0 for integers.
  std::function<std::optional<std::vector<std::uint32_t>>(const nn::Value&, std::size_t count,
                                                          std::uint32_t replica, nn::PhiloxRng&)>
      fill;
  // Of one output of an operation; nullopt: the default for its kind.
  std::function<std::optional<Tolerance>(const nn::Operation&, nn::ValueId output,
                                         const nn::ReferenceMemory&)>
      tolerance;
  // Outputs whose comparison is left to the test.
  std::function<bool(const nn::Value&)> ignore;
};

std::vector<std::uint32_t> words_of(const std::vector<float>& values);
std::vector<float> normal_values(std::size_t count, nn::PhiloxRng& rng, double mean = 0,
                                 double deviation = 1);
double largest(const std::vector<double>& values);  // largest magnitude

// Sizes that straddle vec4s, workgroups and chunks: pairs of 1, 3, 4, 5, 63..65, 127..129,
// 511..513, the first ones fixed, the others drawn.
std::vector<std::pair<std::int64_t, std::int64_t>> odd_shapes(std::size_t count,
                                                              std::uint64_t seed);

// A differentiated graph of a case and its inputs for each replica.
class OpGraph {
 public:
  explicit OpGraph(const OpCase& c);

  nn::ParameterSet parameters;
  nn::Graph graph{parameters};
  std::optional<runtime::DeviceProfile> plan_for;
  std::string kernel;
  nn::ValueId x = nn::kNoValue, y = nn::kNoValue, loss = nn::kNoValue;
  std::vector<std::map<nn::ValueId, std::vector<std::uint32_t>>> inputs;  // [replica]
};

// An OpGraph on the device. `first` is the replica of the OpGraph that replica 0 stands for.
class OpRun {
 public:
  OpRun(runtime::Device& device, const OpGraph& ops, std::int64_t batch, std::uint32_t replicas,
        std::uint32_t first = 0);

  void run();
  // Whether the value has memory: rewrites leave values behind that no operation makes.
  bool has(nn::ValueId id) const;
  const nn::Plan& plan() const { return executable_.plan(); }
  // Words without padding.
  std::vector<std::uint32_t> words(nn::ValueId id, std::uint32_t replica) const;
  std::vector<float> floats(nn::ValueId id, std::uint32_t replica) const;
  std::vector<std::uint32_t> padding(nn::ValueId id, std::uint32_t replica) const;
  void write(nn::ValueId id, const std::vector<std::uint32_t>& words, std::uint32_t replica);

 private:
  nn::Lowering layouts() const;
  std::vector<std::uint32_t> download(nn::ValueId id, std::uint32_t replica) const;
  void poison();

  runtime::Device* device_;
  const OpGraph* ops_;
  std::int64_t batch_;
  std::uint32_t replicas_;
  nn::ParameterStorage storage_;
  nn::Executable executable_;
};

class OpTest : public DeviceTest {
 protected:
  // Everything at the top of this file.
  void check(const OpCase& c);
  // The backward references against central differences of the forward ones, for a few elements of
  // every parameter.
  void check_gradients(const OpCase& c);
};

}  // namespace vktrain::testing
