// Batches made on the device from bytes: any image size, a smaller last batch, an order of its own
// for each replica.
#include "nn/ops/gather_batch.h"

#include <cmath>

#include "nn/executable.h"
#include "nn/operation.h"
#include "nn/rng.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr std::int64_t kImages = 37;    // in the data set
constexpr std::int64_t kLength = 23;    // of an epoch
constexpr std::int64_t kBatchSize = 8;  // leaves a last batch of 7
constexpr std::uint32_t kReplicas = 3;

class GatherBatchTest : public DeviceTest {
 protected:
  struct Rig {
    Rig(const Shape& image, const Normalization& normalization)
        : step(add_step_inputs(graph, 3)),
          dataset(add_dataset_inputs(graph, image, kImages, kLength)),
          batch(gather_batch(graph, dataset, step, normalization, kBatchSize)) {
      graph.keep(batch.x);
      graph.keep(batch.labels);
      PhiloxRng rng(static_cast<std::uint64_t>(image.elements()));
      for (std::int64_t i = 0; i < kImages * image.elements(); ++i) {
        bytes.push_back(static_cast<std::uint8_t>(rng.below(256)));
      }
      for (std::int64_t i = 0; i < kImages; ++i) labels.push_back(rng.below(10));
      indices.resize(kReplicas);
      for (auto& order : indices) {
        for (std::int64_t i = 0; i < kLength; ++i) order.push_back(rng.below(kImages));
      }
    }

    // The first pixel in the lowest byte; rows of whole words.
    std::vector<std::uint32_t> words() const {
      const std::int64_t pixels = dataset.image_shape.elements(), stride = divide_up(pixels, 4);
      std::vector<std::uint32_t> result(static_cast<std::size_t>(kImages * stride), 0);
      for (std::int64_t image = 0; image < kImages; ++image) {
        for (std::int64_t i = 0; i < pixels; ++i) {
          result[static_cast<std::size_t>(image * stride + i / 4)] |=
              std::uint32_t{bytes[static_cast<std::size_t>(image * pixels + i)]} << (8 * (i % 4));
        }
      }
      return result;
    }

    ParameterSet parameters;
    Graph graph{parameters};
    StepInputs step;
    DatasetInputs dataset;
    Batch batch;
    std::vector<std::uint8_t> bytes;
    std::vector<std::uint32_t> labels;
    std::vector<std::vector<std::uint32_t>> indices;  // [replica]
  };

  void check_step(const Rig& rig, const Executable& executable, std::uint32_t step,
                  std::int64_t batch, const Normalization& normalization) {
    const std::int64_t pixels = rig.dataset.image_shape.elements();
    // Scale, shift and result are rounded, each at this magnitude.
    const double allowed = 3e-7 * (1 + std::fabs(normalization.mean)) / normalization.std;
    for (std::uint32_t replica = 0; replica < kReplicas; ++replica) {
      const std::vector<float> x = executable.read(rig.batch.x, replica);
      const std::vector<std::uint32_t> labels = executable.read_words(rig.batch.labels, replica);
      for (std::int64_t row = 0; row < batch; ++row) {
        const std::uint32_t image =
            rig.indices[replica][static_cast<std::size_t>(step * kBatchSize + row)];
        ASSERT_EQ(labels[static_cast<std::size_t>(row)], rig.labels[image]);
        for (std::int64_t i = 0; i < pixels; ++i) {
          const double byte = rig.bytes[static_cast<std::size_t>(image * pixels + i)];
          const double expected = (byte / 255.0 - normalization.mean) / normalization.std;
          ASSERT_NEAR(x[static_cast<std::size_t>(row * pixels + i)], expected, allowed)
              << "row " << row << ", pixel " << i << ", replica " << replica;
        }
      }
    }
  }

  // Every word of x, padding included, is a finite number.
  void check_finite(const Executable& executable, ValueId x) {
    const runtime::Slice slice = executable.memory_of(x);
    std::vector<float> all(slice.size / 4);
    device().download(slice, std::as_writable_bytes(std::span(all)));
    for (const float value : all) ASSERT_TRUE(std::isfinite(value));
  }

  // In the order of pixels, as on GPUs, and across images, as on CPU drivers.
  void check_epoch(const Shape& image, const Normalization& normalization) {
    for (const runtime::DeviceKind kind :
         {runtime::DeviceKind::discrete, runtime::DeviceKind::cpu}) {
      runtime::DeviceProfile profile = device().profile();
      profile.kind = kind;
      check_epoch_as(profile, image, normalization);
    }
  }

  void check_epoch_as(const runtime::DeviceProfile& profile, const Shape& image,
                      const Normalization& normalization) {
    Rig rig(image, normalization);
    ParameterStorage storage(device(), rig.parameters, kReplicas, 0);
    Executable full(device(), rig.graph, storage,
                    {.batch = kBatchSize, .replicas = kReplicas, .plan_for = profile});
    std::map<ValueId, runtime::Slice> externals;
    for (const ValueId id :
         {rig.step.state, rig.dataset.images, rig.dataset.labels, rig.dataset.indices}) {
      externals[id] = full.memory_of(id);
    }
    Executable last(device(), rig.graph, storage,
                    {.batch = kLength % kBatchSize, .replicas = kReplicas, .plan_for = profile},
                    externals);
    full.write_words(rig.dataset.images, rig.words());
    full.write_words(rig.dataset.labels, rig.labels);
    for (std::uint32_t replica = 0; replica < kReplicas; ++replica) {
      full.write_words(rig.dataset.indices, rig.indices[replica], replica);
    }
    for (const std::uint32_t step : {2u, 0u, 1u}) {
      Executable& executable = step == 2 ? last : full;
      const std::uint32_t state[4] = {77 + step, step, 0, 0};
      for (std::uint32_t r = 0; r < kReplicas; ++r) full.write_words(rig.step.state, state, r);
      executable.run();
      check_step(rig, executable, step, step == 2 ? kLength % kBatchSize : kBatchSize,
                 normalization);
      check_finite(executable, rig.batch.x);
    }
  }
};

TEST_F(GatherBatchTest, AnyImageSize) {
  for (const Shape& image : {Shape{1, 1, 1},
                             {1, 1, 2},
                             {1, 5, 1},
                             {1, 5, 5},
                             {3, 7, 3},
                             {1, 4, 4},
                             {3, 32, 32},
                             {1, 28, 28}}) {
    SCOPED_TRACE(to_string(image));
    check_epoch(image, {0.286, 0.353});
  }
}

TEST_F(GatherBatchTest, Normalization) {
  for (const Normalization& normalization :
       {Normalization{}, {0.1307, 0.3081}, {-2, 0.01}, {0.5, 100}}) {
    check_epoch({1, 3, 3}, normalization);
  }
}

}  // namespace
}  // namespace vktrain::testing
