// Random flips, shifts and crops of gather_batch: against the reference, and by what they do to
// images whose bytes are all different from 0.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "nn/executable.h"
#include "nn/operation.h"
#include "nn/ops/gather_batch.h"
#include "nn/reference/reference_memory.h"
#include "nn/rng.h"
#include "runtime/error.h"
#include "tests/nn/training/training_rig.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr std::int64_t kImages = 300;
const Shape kSmall = {1, 6, 7};

// Bytes of one image, or of the same image after its changes.
using Bytes = std::vector<std::int64_t>;

// The images of one data set in one batch. Pixels are not normalised, x is the byte itself.
struct AugmentGraph {
  AugmentGraph(const Shape& image, const Augmentation& augmentation) : shape(image) {
    step = add_step_inputs(graph, 1);
    dataset = add_dataset_inputs(graph, image, kImages, kImages);
    batch = gather_batch(graph, dataset, step, {0, 1.0 / 255}, kImages, augmentation);
    graph.keep(batch.x);
    PhiloxRng rng(9);
    for (std::int64_t i = 0; i < kImages * image.elements(); ++i) {
      bytes.push_back(1 + rng.below(255));
    }
    const std::int64_t words = divide_up(image.elements(), 4);
    packed.assign(static_cast<std::size_t>(kImages * words), 0);
    for (std::int64_t i = 0; i < kImages * image.elements(); ++i) {
      const std::int64_t n = i / image.elements(), pixel = i % image.elements();
      packed[static_cast<std::size_t>(n * words + pixel / 4)] |=
          static_cast<std::uint32_t>(bytes[static_cast<std::size_t>(i)]) << (8 * (pixel % 4));
    }
    for (std::uint32_t i = 0; i < kImages; ++i) order.push_back(i);
  }

  Bytes original(std::int64_t n) const {
    const auto begin = bytes.begin() + n * shape.elements();
    return {begin, begin + shape.elements()};
  }

  static std::vector<std::uint32_t> hyperparameters(std::uint64_t seed) {
    Hyperparameters h;
    h.seed[0] = static_cast<std::uint32_t>(seed);
    h.seed[1] = static_cast<std::uint32_t>(seed >> 32);
    std::vector<std::uint32_t> words(sizeof h / 4);
    std::memcpy(words.data(), &h, sizeof h);
    return words;
  }

  Shape shape;
  ParameterSet parameters;
  Graph graph{parameters};
  StepInputs step;
  DatasetInputs dataset;
  Batch batch;
  Bytes bytes;
  std::vector<std::uint32_t> packed, order;
};

class AugmentationTest : public DeviceTest {
 protected:
  // The batch of step `step`, by replica: all images one after the other. In the order of pixels,
  // as on GPUs, and across images, as on CPU drivers.
  std::vector<std::vector<float>> run(const AugmentGraph& g, std::uint32_t step,
                                      const std::vector<std::uint64_t>& seeds) {
    const auto across = run_as(runtime::DeviceKind::cpu, g, step, seeds);
    EXPECT_TRUE(across == run_as(runtime::DeviceKind::discrete, g, step, seeds));
    return across;
  }

  std::vector<std::vector<float>> run_as(runtime::DeviceKind kind, const AugmentGraph& g,
                                         std::uint32_t step,
                                         const std::vector<std::uint64_t>& seeds) {
    const auto replicas = static_cast<std::uint32_t>(seeds.size());
    runtime::DeviceProfile profile = device().profile();
    profile.kind = kind;
    ParameterStorage storage(device(), g.parameters, replicas, 0);
    Executable executable(device(), g.graph, storage,
                          {.batch = kImages, .replicas = replicas, .plan_for = profile});
    const bool augmented = g.graph.operations().front()->inputs().size() > 4;
    executable.write_words(g.dataset.images, g.packed);
    executable.write_words(g.dataset.labels, g.order);
    const std::uint32_t state[4] = {step, 0, 0, 0};
    for (std::uint32_t r = 0; r < replicas; ++r) {
      executable.write_words(g.dataset.indices, g.order, r);
      executable.write_words(g.step.state, state, r);
      if (!augmented) continue;
      executable.write_words(g.step.hyperparameters, AugmentGraph::hyperparameters(seeds[r]), r);
    }
    executable.run();
    std::vector<std::vector<float>> results;
    for (std::uint32_t r = 0; r < replicas; ++r) {
      results.push_back(executable.read(g.batch.x, r));
      EXPECT_EQ(executable.read_words(g.batch.labels, r), g.order);
    }
    return results;
  }

  // The changed images as bytes.
  std::vector<Bytes> changed(const Augmentation& augmentation, std::uint32_t step = 3,
                             std::uint64_t seed = 5, const Shape& shape = kSmall) {
    const std::vector<float> x = run(AugmentGraph(shape, augmentation), step, {seed}).front();
    std::vector<Bytes> images(kImages);
    const auto pixels = static_cast<std::size_t>(shape.elements());
    for (std::size_t i = 0; i < x.size(); ++i) images[i / pixels].push_back(std::llround(x[i]));
    return images;
  }

  std::vector<Bytes> originals() {
    const AugmentGraph g(kSmall, {});
    std::vector<Bytes> images;
    for (std::int64_t n = 0; n < kImages; ++n) images.push_back(g.original(n));
    return images;
  }
};

Bytes mirrored(const Bytes& image) {
  Bytes result = image;
  for (auto row = result.begin(); row != result.end(); row += kSmall[2]) {
    std::reverse(row, row + kSmall[2]);
  }
  return result;
}

Bytes moved(const Bytes& image, std::int64_t down, std::int64_t right) {
  Bytes result(image.size(), 0);
  for (std::int64_t row = 0; row < kSmall[1]; ++row) {
    for (std::int64_t column = 0; column < kSmall[2]; ++column) {
      const std::int64_t y = row - down, x = column - right;
      if (y < 0 || y >= kSmall[1] || x < 0 || x >= kSmall[2]) continue;
      result[static_cast<std::size_t>(row * kSmall[2] + column)] =
          image[static_cast<std::size_t>(y * kSmall[2] + x)];
    }
  }
  return result;
}

TEST_F(AugmentationTest, MatchesReference) {
  for (const Shape& shape : {Shape{1, 1, 1}, {1, 6, 7}, {3, 5, 5}, {3, 8, 8}, {1, 28, 28}}) {
    for (const Augmentation& augmentation :
         {Augmentation{.horizontal_flip = 0.3},
          {.shift = 2},
          {.crop_padding = 3},
          {.horizontal_flip = 0.5, .shift = 1, .crop_padding = 2}}) {
      const AugmentGraph g(shape, augmentation);
      const std::vector<std::uint64_t> seeds = {1, 2, std::uint64_t{7} << 40};
      for (const std::uint32_t step : {0u, 1000u}) {
        const auto results = run(g, step, seeds);
        for (std::size_t r = 0; r < seeds.size(); ++r) {
          ReferenceMemory memory(g.graph, kImages);
          const std::vector<std::uint32_t> hyper = AugmentGraph::hyperparameters(seeds[r]);
          memory[g.dataset.images].assign(g.packed.begin(), g.packed.end());
          memory[g.dataset.labels].assign(g.order.begin(), g.order.end());
          memory[g.dataset.indices].assign(g.order.begin(), g.order.end());
          memory[g.step.state] = {static_cast<double>(step), 0, 0, 0};
          memory[g.step.hyperparameters].assign(hyper.begin(), hyper.end());
          run_reference(g.graph, memory);
          for (std::size_t i = 0; i < results[r].size(); ++i) {
            ASSERT_NEAR(results[r][i], memory[g.batch.x][i], 1e-4)
                << to_string(shape) << ", element " << i << ", replica " << r;
          }
        }
      }
    }
  }
}

// The share of 300 has the standard deviation 0.029: four of them.
TEST_F(AugmentationTest, FlipsMirrorTheAskedShare) {
  const std::vector<Bytes> images = originals();
  for (const double probability : {0.0, 0.5, 1.0}) {
    const std::vector<Bytes> result = changed({.horizontal_flip = probability});
    std::size_t flipped = 0;
    for (std::size_t n = 0; n < kImages; ++n) {
      const bool flip = result[n] == mirrored(images[n]);
      EXPECT_TRUE(flip || result[n] == images[n]) << "image " << n;
      flipped += flip ? 1 : 0;
    }
    EXPECT_NEAR(static_cast<double>(flipped) / kImages, probability,
                probability == 0.5 ? 0.116 : 0.0);
  }
}

// Every image is the original, moved by one of the (2 n + 1)^2 offsets, with zeros from outside;
// 300 draws of 25 offsets miss one with a probability of 1e-4.
void expect_offsets(const std::vector<Bytes>& images, const std::vector<Bytes>& result,
                    std::int64_t limit) {
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  for (std::size_t n = 0; n < kImages; ++n) {
    bool found = false;
    for (std::int64_t down = -limit; down <= limit; ++down) {
      for (std::int64_t right = -limit; right <= limit; ++right) {
        if (result[n] != moved(images[n], down, right)) continue;
        seen.emplace(down, right);
        found = true;
      }
    }
    EXPECT_TRUE(found) << "image " << n;
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>((2 * limit + 1) * (2 * limit + 1)));
}

TEST_F(AugmentationTest, ShiftsMoveByUpToTheAskedPixels) {
  expect_offsets(originals(), changed({.shift = 1}), 1);
  expect_offsets(originals(), changed({.shift = 2}), 2);
}

TEST_F(AugmentationTest, CropsOfPaddedImagesMoveByUpToThePadding) {
  expect_offsets(originals(), changed({.crop_padding = 2}), 2);
  EXPECT_NE(changed({.crop_padding = 2}), changed({.shift = 2}));
}

TEST_F(AugmentationTest, DrawsDependOnSeedStepAndPosition) {
  const Augmentation augmentation = {.horizontal_flip = 0.5, .shift = 2};
  const std::vector<Bytes> result = changed(augmentation, 3, 5);
  EXPECT_EQ(result, changed(augmentation, 3, 5));
  EXPECT_NE(result, changed(augmentation, 4, 5));
  EXPECT_NE(result, changed(augmentation, 3, 6));
}

TEST_F(AugmentationTest, ReplicasAreTheSingleRuns) {
  const AugmentGraph g({3, 9, 5}, {.horizontal_flip = 0.5, .shift = 2, .crop_padding = 1});
  const std::vector<std::uint64_t> seeds = {1, 2, 3};
  const auto together = run(g, 17, seeds);
  EXPECT_NE(together[0], together[1]);
  for (std::size_t r = 0; r < seeds.size(); ++r) {
    EXPECT_EQ(together[r], run(g, 17, {seeds[r]}).front()) << "replica " << r;
  }
}

// With a learning rate of 0 the weights stay: the evaluation sees the same images with and without
// augmentation, the training does not.
TEST_F(AugmentationTest, EvaluationSeesTheImagesAsTheyAre) {
  const ImageSet train = noisy_images(200, 6, 1), test = noisy_images(70, 6, 2);
  Experiment experiment = small_experiment(6);
  experiment.optimizer.learning_rate = 0;
  experiment.data.split.fraction = 0.25;
  const auto epochs = [&] {
    Trainer trainer(device(), {experiment}, train, test, {});
    RecordingObserver observer;
    trainer.train(observer);
    return observer.epochs.at(0);
  };
  const std::vector<EpochMetrics> plain = epochs();
  experiment.augmentation = {.horizontal_flip = 0.5, .shift = 2, .crop_padding = 1};
  const std::vector<EpochMetrics> augmented = epochs();
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_NE(augmented[i].train_loss, plain[i].train_loss);
    EXPECT_EQ(augmented[i].test.loss, plain[i].test.loss);
    ASSERT_TRUE(plain[i].validation && augmented[i].validation);
    EXPECT_EQ(augmented[i].validation->loss, plain[i].validation->loss);
  }
}

TEST(Augmentation, SettingsAreChecked) {
  EXPECT_THROW(AugmentGraph(kSmall, {.horizontal_flip = -0.1}), Error);
  EXPECT_THROW(AugmentGraph(kSmall, {.horizontal_flip = std::nan("")}), Error);
  EXPECT_THROW(AugmentGraph(kSmall, {.shift = -1}), Error);
  EXPECT_THROW(AugmentGraph(kSmall, {.crop_padding = -1}), Error);
  EXPECT_THROW(AugmentGraph(Shape{49}, {.shift = 1}), Error);
  try {
    const AugmentGraph refused(kSmall, {.horizontal_flip = 1.5});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[gather_batch] augmentation: expected a probability of a horizontal flip from 0 "
                 "to 1, found 1.5");
  }
}

// Without augmentation the operation reads no seed.
TEST(Augmentation, CostsNothingWhereItIsOff) {
  const AugmentGraph g(kSmall, {});
  const std::vector<ValueId>& inputs = g.graph.operations().front()->inputs();
  EXPECT_EQ(std::ranges::count(inputs, g.step.hyperparameters), 0);
}

}  // namespace
}  // namespace vktrain::testing
