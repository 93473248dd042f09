// `vktrain evaluate` and `vktrain predict` on runs that `train` wrote.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/apps/command_fixture.h"

namespace vktrain::testing {
namespace {

namespace fs = std::filesystem;

class SavedRun : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    compute_well({"train", "tiny.toml", "--run-dir", "run", "--epochs", "4", "--seed", "5"});
  }
  nlohmann::json json(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    return nlohmann::json::parse(compute_well(std::move(arguments)).out);
  }
};

TEST_F(SavedRun, EvaluateGivesTheTrainingsNumbers) {
  const auto last = read_json_lines("run/metrics.jsonl").back();
  const auto test = json({"evaluate", "run"});
  EXPECT_EQ(test["loss"], last["test_loss"]);
  EXPECT_EQ(test["accuracy"], last["test_accuracy"]);
  EXPECT_EQ(test["images"], 70);
  const auto val = json({"evaluate", "run/model.safetensors", "--set", "val"});
  EXPECT_EQ(val["loss"], last["val_loss"]);
  EXPECT_EQ(val["accuracy"], last["val_accuracy"]);
  EXPECT_EQ(val["images"], 40);
  EXPECT_EQ(json({"evaluate", "run", "--set", "train"})["images"], 160);
}

TEST_F(SavedRun, EvaluateIncludesThePenaltyAsTheTrainingDoes) {
  compute_well({"train", "tiny.toml", "--run-dir", "keras", "--set", "penalty.l2=0.01", "--set",
                "metrics.loss_includes_penalty=true", "--set", "metrics.accuracy=batch_mean"});
  const auto last = read_json_lines("keras/metrics.jsonl").back();
  const auto test = json({"evaluate", "keras"});
  EXPECT_EQ(test["loss"], last["test_loss"]);
  EXPECT_EQ(test["accuracy"], last["test_accuracy"]);
  EXPECT_EQ(test["accuracy"], test["batch_mean_accuracy"]);
  EXPECT_NE(test["accuracy"], test["exact_accuracy"]);  // the last batch is smaller
}

TEST_F(SavedRun, ConfusionMatrixAddsUp) {
  const auto test = json({"evaluate", "run"});
  std::int64_t all = 0, hits = 0;
  for (std::size_t t = 0; t < 10; ++t) {
    for (std::size_t p = 0; p < 10; ++p) all += test["confusion"][t][p].get<std::int64_t>();
    const auto hit = test["confusion"][t][t].get<std::int64_t>();
    hits += hit;
    EXPECT_DOUBLE_EQ(test["classes"][t]["accuracy"].get<double>(), static_cast<double>(hit) / 7);
  }
  EXPECT_EQ(all, 70);
  EXPECT_EQ(hits, test["correct"].get<std::int64_t>());
  EXPECT_GT(hits, 20);  // far above chance: the images are easy
  const std::string text = compute_well({"evaluate", "run"}).out;
  EXPECT_NE(text.find("Ankle boot"), std::string::npos) << text;
}

TEST_F(SavedRun, ConfusionMatrixIsTheTrainingsInEveryForm) {
  const auto counts = json({"evaluate", "run", "--confusion-matrix", "c.csv"})["confusion"];
  EXPECT_EQ(counts, read_json("run/result.json")["test"]["confusion"]);
  std::istringstream csv(read_text("c.csv"));
  std::string line;
  std::getline(csv, line);
  EXPECT_TRUE(line.starts_with("true \\ predicted,T-shirt/top,Trouser,")) << line;
  for (std::size_t t = 0; t < 10; ++t) {
    std::string expected;
    for (const auto& count : counts[t]) expected += "," + count.dump();
    ASSERT_TRUE(std::getline(csv, line));
    EXPECT_TRUE(line.ends_with(expected)) << line << " lacks " << expected;
  }
  EXPECT_FALSE(std::getline(csv, line)) << line;
  expect_failure(compute({"evaluate", "run", "--confusion-matrix", "absent/c.csv"}), 1,
                 {"--confusion-matrix", "absent"});
}

TEST_F(SavedRun, NamesTheLargestConfusion) {
  const std::string text = compute_well({"evaluate", "run"}).out;
  const auto counts = json({"evaluate", "run"})["confusion"];
  std::int64_t largest = 0;
  for (std::size_t t = 0; t < 10; ++t) {
    for (std::size_t p = 0; p < 10; ++p) {
      if (t != p) largest = std::max(largest, counts[t][p].get<std::int64_t>());
    }
  }
  ASSERT_GT(largest, 0);
  const std::string end = ": " + std::to_string(largest) + " of 7\n";
  EXPECT_NE(text.find("\nmost often confused: "), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with(end)) << text;
}

TEST_F(SavedRun, PredictAgreesWithEvaluate) {
  const auto predictions = json({"predict", "run", "--count", "70", "--top", "10"});
  ASSERT_EQ(predictions.size(), 70U);
  std::int64_t hits = 0;
  for (const auto& item : predictions) {
    double sum = 0, before = 1;
    for (const auto& prediction : item["predictions"]) {
      const double probability = prediction["probability"].get<double>();
      EXPECT_LE(probability, before);
      before = probability;
      sum += probability;
    }
    EXPECT_NEAR(sum, 1, 1e-12);
    hits += item["predictions"][0]["class"] == item["label"] ? 1 : 0;
  }
  EXPECT_EQ(hits, json({"evaluate", "run"})["correct"].get<std::int64_t>());
}

TEST_F(SavedRun, PredictTakesAFileOfImages) {
  const auto of_test = json({"predict", "run", "--count", "70"});
  const auto of_file = json({"predict", "run", "--images", "data/t10k-images-idx3-ubyte"});
  ASSERT_EQ(of_file.size(), 70U);
  EXPECT_TRUE(of_file[0]["label"].is_null());
  for (std::size_t i = 0; i < 70; ++i) {
    EXPECT_EQ(of_file[i]["predictions"], of_test[i]["predictions"]) << i;
  }
  const std::string text = compute_well({"predict", "run", "--index", "69", "--top", "1"}).out;
  EXPECT_TRUE(text.starts_with("69: ")) << text;
  EXPECT_NE(text.find("(is Dress)"), std::string::npos) << text;  // 69 * 7 % 10 = 3
}

TEST_F(SavedRun, BadInputIsNamed) {
  expect_failure(compute({"evaluate", "absent"}), 1, {"'absent'"});
  compute_well({"train", "tiny.toml", "--run-dir", "pair", "--steps", "1", "--seeds", "2"});
  expect_failure(compute({"evaluate", "pair"}), 1, {"'pair'", "replicas"});
  compute_well({"evaluate", "pair/seed-1"});
  fs::copy_file("run/model.safetensors", "lone.safetensors");
  expect_failure(compute({"evaluate", "lone.safetensors"}), 2, {"--config"});
  EXPECT_EQ(json({"evaluate", "lone.safetensors", "--config", "run/config.toml"}),
            json({"evaluate", "run"}));
  expect_failure(compute({"evaluate", "run", "--set", "all"}), 2, {"all", "val"});
  expect_failure(compute({"predict", "run", "--index", "70"}), 2, {"--index", "69"});
  expect_failure(compute({"predict", "run", "--index", "60", "--count", "11"}), 2,
                 {"--count", "10"});
  expect_failure(compute({"predict", "run", "--top", "0"}), 2, {"--top"});
  expect_failure(compute({"predict", "run", "--images", "data/t10k-labels-idx1-ubyte"}), 1,
                 {"t10k-labels-idx1-ubyte", "height"});
  fs::resize_file("lone.safetensors", 1000);
  expect_failure(compute({"evaluate", "lone.safetensors", "--config", "run/config.toml"}), 1,
                 {"lone.safetensors"});
  expect_failure(compute({"evaluate", "run", "--config", "other.toml"}), 1, {"other.toml"});
  std::ofstream("other.toml", std::ios::binary) << read_text("tiny.toml");
  std::ofstream("tiny.toml", std::ios::app) << "\n";
  compute_well({"train", "tiny.toml", "--run-dir", "small", "--steps", "1", "--split", "none",
                "--set", "model.layers=[\"flatten\", \"linear 10\"]"});
  expect_failure(compute({"evaluate", "small", "--config", "other.toml"}), 1,
                 {"'small'", "1.weight"});
  expect_failure(compute({"evaluate", "small", "--set", "val"}), 2, {"--set val"});
}

}  // namespace
}  // namespace vktrain::testing
