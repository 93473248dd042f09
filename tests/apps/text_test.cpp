// Numbers, tables and lines as people read them.
#include "apps/vktrain/text.h"

#include <gtest/gtest.h>

#include "apps/vktrain/experiments.h"
#include "apps/vktrain/progress.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

TEST(Text, Numbers) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
  EXPECT_EQ(byte_size(1023), "1023 B");
  EXPECT_EQ(byte_size(1536), "1.5 KiB");
  EXPECT_EQ(byte_size(3.0 * 1024 * 1024 * 1024), "3.0 GiB");
  EXPECT_EQ(duration(4.24), "4.2 s");
  EXPECT_EQ(duration(187), "3 min 07 s");
  EXPECT_EQ(duration(2 * 3600 + 301), "2 h 05 min");
  EXPECT_EQ(duration(std::numeric_limits<double>::quiet_NaN()), "-");
}

TEST(Text, TablesAlignUtf8) {
  TextTable table({{"name"}, {"count", Align::right}});
  table.add_row({"é", "1"});
  table.add_row({"longer", "22"});
  EXPECT_EQ(table.text(), "name    count\né           1\nlonger     22\n");
}

TEST(Text, EpochLinesGiveMeans) {
  nn::EpochMetrics a, b;
  a.epoch = b.epoch = 3;
  a.train_loss = 0.5;
  b.train_loss = 1.5;
  a.test.accuracy = 0.8;
  b.test.accuracy = 0.9;
  a.images_per_second = b.images_per_second = 1000;
  a.seconds = b.seconds = 2;
  EXPECT_EQ(epoch_line(std::vector{a}, 12),
            "epoch  3/12: train loss 0.5000 accuracy 0.0000, test loss 0.0000 accuracy 0.8000, "
            "2.0 s, 1,000 images/s");
  a.validation = b.validation = nn::EvaluationMetrics{};
  EXPECT_EQ(epoch_line(std::vector{a, b}, 12),
            "epoch  3/12: train loss 1.0000 accuracy 0.0000, val loss 0.0000 accuracy 0.0000, test "
            "loss 0.0000 accuracy 0.8500, 2.0 s, 2,000 images/s (means of 2 replicas)");
}

TEST(ExperimentOptions, StandForKeys) {
  nn::Experiment e = resolve_experiment("a-fcn-100k");
  ExperimentOptions options;
  options.set = {"training.epochs=3", "optimizer.beta1=0.8"};
  options.epochs = "4";  // the option wins over --set
  options.steps = "9";
  options.batch_size = "64";
  options.shuffle = "off";
  options.split = "first:5000";
  options.log_every = "2";
  options.seed = "10";
  options.seeds = "3";
  options.learning_rates = {"0.1", "0.2"};
  change_experiment(e, options);
  EXPECT_EQ(e.training.epochs, 4);
  EXPECT_EQ(e.training.steps, 9);
  EXPECT_EQ(e.training.batch_size, 64);
  EXPECT_EQ(e.training.log_every, 2);
  EXPECT_EQ(e.optimizer.beta1, 0.8);
  EXPECT_FALSE(e.data.shuffle);
  EXPECT_EQ(e.data.split.count, 5000);
  EXPECT_EQ(e.training.seeds, (std::vector<std::uint64_t>{10, 11, 12}));
  EXPECT_EQ(e.learning_rates, (std::vector<double>{0.1, 0.2}));

  ExperimentOptions single;  // ends the grids
  single.seed = "5";
  single.learning_rates = {"0.3"};
  change_experiment(e, single);
  EXPECT_TRUE(e.training.seeds.empty());
  EXPECT_TRUE(e.learning_rates.empty());
  EXPECT_EQ(e.training.seed, 5U);
  EXPECT_EQ(e.optimizer.learning_rate, 0.3);
}

TEST(ExperimentOptions, SeedsAreACountOrAList) {
  nn::Experiment e = resolve_experiment("a-fcn-100k");
  ExperimentOptions options;
  options.seeds = "7,5,6";
  change_experiment(e, options);
  EXPECT_EQ(e.training.seeds, (std::vector<std::uint64_t>{7, 5, 6}));
  for (const char* bad : {"", "-1", "2x", "1,,x", "99999999999"}) {
    options.seeds = bad;
    EXPECT_THROW(change_experiment(e, options), UsageError) << bad;
  }
}

}  // namespace
}  // namespace vktrain::app
