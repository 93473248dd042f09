// The products of a first layer that read a batch's images in the data set (nn/ops/gather_batch.h):
// on the device for several replicas, and the same in double.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nn/ops/activation.h"
#include "nn/ops/gather_batch.h"
#include "nn/optimizers/optimizer.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {

// y = f(x W^T + b), dW = dy^T x and db = the sums of dy's columns; or instead of all that the
// update of W and b by them.
struct GatheredCase {
  nn::Shape image = {3, 5, 7};
  std::int64_t batch = 19, out = 13;
  std::int64_t batch_stride = 23;
  std::uint32_t step_in_epoch = 2;
  std::uint32_t replicas = 3;
  std::uint64_t seed = 1;
  nn::Normalization normalization = {.mean = 0.3, .std = 0.35};
  nn::ActivationSpec activation = {nn::Activation::leaky_relu, 0.5f};
  bool bias = true;
  // Pixels are 0 or 255, and dy quarters of small integers: with mean and std 0.5 the sums of
  // products are exact, in any order.
  bool exact = false;
  nn::Precision precision = nn::Precision::f32;
  std::string kernel = "";     // of the products; empty: the proposals
  std::string kernel_tn = "";  // of the weight gradient; empty: the same
  bool stored = false;         // as where the driver refuses the kernels that gather
  bool merged = true;          // update: in the product, where its kernel can
  std::vector<nn::OptimizerConfig> update = {};  // by replica; empty: none
};

// To name a case.
std::string to_string(const GatheredCase& c);

class GatheredGraph {
 public:
  GatheredGraph(const GatheredCase& c, const runtime::DeviceProfile& device);

  const OpGraph& ops() const { return ops_; }
  OpGraph& ops() { return ops_; }
  const nn::Batch& batch() const { return batch_; }
  nn::ValueId weight() const { return weight_; }

  // Replica 0 is the case's replica `first`.
  std::unique_ptr<OpRun> start(runtime::Device& device, std::uint32_t replicas,
                               std::uint32_t first = 0) const;
  // One more step of an update; the case's inputs are those of step 0.
  void step(OpRun& run, std::uint32_t step, std::uint32_t first) const;
  void step(nn::ReferenceMemory& memory, std::uint32_t step, std::uint32_t replica) const;

  nn::ReferenceMemory reference(std::uint32_t replica) const;
  // Fails the test where what a run has made differs from the reference, or padding is not 0.
  void expect_reference(const OpRun& run, std::uint32_t replica, nn::ReferenceMemory& memory) const;
  // Everything that is compared.
  std::vector<std::vector<std::uint32_t>> results(const OpRun& run, std::uint32_t replica) const;

 private:
  using Words = std::vector<std::uint32_t>;

  OpCase operation_case(const runtime::DeviceProfile& device);
  void build(nn::Graph& graph, const runtime::DeviceProfile& device);
  void add_products(nn::Graph& graph, nn::ValueId x);
  void add_update(nn::Graph& graph, nn::ValueId x);
  std::optional<Words> fill(const nn::Value& value, std::size_t count, std::uint32_t replica,
                            nn::PhiloxRng& rng) const;
  Words images(std::size_t count) const;
  Words state(std::uint32_t step, std::uint32_t replica) const;
  Words gradients(std::uint32_t step, std::uint32_t replica) const;
  std::shared_ptr<const nn::VariantChoices> choices(runtime::Device& device,
                                                    std::uint32_t replicas) const;
  std::vector<nn::ValueId> compared(const nn::Operation& operation) const;
  void expect_batch(const nn::ReferenceMemory& memory) const;
  void expect_output(const OpRun& run, std::uint32_t replica, const nn::ReferenceMemory& memory,
                     const nn::Operation& operation, nn::ValueId id) const;

  GatheredCase c_;
  nn::StepInputs step_;
  nn::DatasetInputs dataset_;
  nn::Batch batch_;
  nn::ValueId places_ = nn::kNoValue, dy_ = nn::kNoValue, weight_ = nn::kNoValue,
              bias_ = nn::kNoValue;
  std::map<std::string, nn::ValueId> others_;  // parameters that nothing reads
  OpGraph ops_;
};

}  // namespace vktrain::testing
