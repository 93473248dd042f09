#include "nn/experiment/experiment_library.h"

#include <gtest/gtest.h>

#include "tests/nn/expect_error.h"

namespace vktrain::nn {
namespace {

EmbeddedFile file(std::string_view name, std::string_view text) {
  return {name, {reinterpret_cast<const unsigned char*>(text.data()), text.size()}};
}

constexpr std::string_view kFamily = R"([defaults]
report = "a"
[defaults.model]
layers = ["flatten", "linear 10"]
[defaults.training]
epochs = 3
[defaults.optimizer]
kind = "adam"
[defaults.reported]
assumed = ["shared: yes"]

[run.z-fcn-first]
notes = ["own"]
optimizer.learning_rate = 0.5
reported.test_accuracy = 0.75
reported.parameter_count = 7850

[run."b-fcn-lr0.1"]
base = "z-fcn-first"
training.epochs = 4
reported.assumed = ["own: too"]

[run.c-third]
base = "b-fcn-lr0.1"
optimizer.kind = "sgd"
)";

ExperimentLibrary library(std::string_view text) {
  const EmbeddedFile files[] = {file("family", text)};
  return ExperimentLibrary(files);
}

std::vector<std::string> ids(const std::vector<const Experiment*>& experiments) {
  std::vector<std::string> result;
  for (const Experiment* e : experiments) result.push_back(e->id);
  return result;
}

TEST(ExperimentLibrary, RunsTakeDefaultsAndBasesAndKeepTheirOrder) {
  const ExperimentLibrary lib = library(kFamily);
  EXPECT_EQ(lib.ids(), (std::vector<std::string>{"z-fcn-first", "b-fcn-lr0.1", "c-third"}));
  const Experiment& first = lib.find("z-fcn-first");
  EXPECT_EQ(first.id, "z-fcn-first");
  EXPECT_EQ(first.report, "a");
  EXPECT_EQ(first.training.epochs, 3);
  EXPECT_EQ(first.optimizer.kind, OptimizerKind::adam);
  EXPECT_EQ(first.optimizer.learning_rate, 0.5);
  EXPECT_EQ(first.reported.assumed, (std::vector<std::string>{"shared: yes"}));
  const Experiment& second = lib.find("b-fcn-lr0.1");
  EXPECT_EQ(second.training.epochs, 4);
  EXPECT_EQ(second.optimizer.learning_rate, 0.5);
  const Experiment& third = lib.find("c-third");
  EXPECT_EQ(third.optimizer.kind, OptimizerKind::sgd);
  EXPECT_EQ(third.training.epochs, 4);
}

TEST(ExperimentLibrary, WhatIsTrueOfOneRunOnlyIsNotInherited) {
  const ExperimentLibrary lib = library(kFamily);
  const Experiment& second = lib.find("b-fcn-lr0.1");
  EXPECT_EQ(second.reported.test_accuracy, std::nullopt);
  EXPECT_EQ(second.reported.parameter_count, std::nullopt);
  EXPECT_TRUE(second.notes.empty());
  EXPECT_EQ(second.reported.assumed, (std::vector<std::string>{"shared: yes", "own: too"}));
  EXPECT_EQ(lib.find("c-third").reported.assumed, (std::vector<std::string>{"shared: yes"}));
}

TEST(ExperimentLibrary, FindsByIdAndByPattern) {
  const ExperimentLibrary lib = library(kFamily);
  EXPECT_TRUE(lib.contains("c-third"));
  EXPECT_FALSE(lib.contains("c-thir"));
  using Names = std::vector<std::string>;
  EXPECT_EQ(ids(lib.match(Names{"*"})), lib.ids());
  EXPECT_EQ(ids(lib.match(Names{"c-*", "*-fcn-f?rst", "c-third"})),
            (Names{"z-fcn-first", "c-third"}));
  EXPECT_EQ(ids(lib.match(Names{"*-*-*0*1"})), (Names{"b-fcn-lr0.1"}));
  EXPECT_EQ(ids(lib.suite("fcn")), (Names{"z-fcn-first", "b-fcn-lr0.1"}));
  EXPECT_EQ(ids(lib.suite("all")), lib.ids());
  EXPECT_EQ(ids(lib.suite("report-a")), lib.ids());
  EXPECT_TRUE(lib.suite("cnn").empty());
  EXPECT_EQ(lib.suites(), (Names{"quick", "fcn", "cnn", "all", "report-a"}));
  const auto message = [](auto&& call) -> std::string {
    try {
      call();
    } catch (const UsageError& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(message([&] { lib.find("c-tird"); }),
            "there is no experiment \"c-tird\"; did you mean 'c-third'?");
  EXPECT_EQ(message([&] { lib.find("my-own"); }),
            "there is no experiment \"my-own\"; known are 'z-fcn-first', 'b-fcn-lr0.1', 'c-third'; "
            "`vktrain experiments` lists all.");
  EXPECT_NE(message([&] { lib.match(Names{"*", "x*"}); }).find("x*"), std::string::npos);
  // A '*' must not give back text that the pattern before it has used.
  EXPECT_NE(message([&] { lib.match(Names{"c-t*third"}); }).find("c-t*third"), std::string::npos);
  EXPECT_NE(message([&] { lib.match(Names{"z-fcn"}); }).find("z-fcn"), std::string::npos);
  EXPECT_EQ(message([&] { lib.suite("report-b"); }),
            "there is no suite \"report-b\"; did you mean 'report-a'?");
  EXPECT_EQ(message([&] { lib.suite("fcm"); }), "there is no suite \"fcm\"; did you mean 'fcn'?");
}

TEST(ExperimentLibrary, LayersMayBeTablesAndRunsWithoutAReportAreInNoSuite) {
  const ExperimentLibrary lib = library(R"([run.x-cnn-y]
training.epochs = 2
[[run.x-cnn-y.layer]]
type = "flatten"
[[run.x-cnn-y.layer]]
type = "linear"
out = 10
)");
  EXPECT_EQ(lib.find("x-cnn-y").model.layers.size(), 2u);
  EXPECT_TRUE(lib.suite("all").empty());
  EXPECT_TRUE(lib.suite("cnn").empty());
}

void expect_refused(std::string_view text, std::initializer_list<std::string_view> parts) {
  SCOPED_TRACE(text);
  try {
    library(text);
    ADD_FAILURE() << "was accepted";
  } catch (const UsageError& error) {
    for (const std::string_view part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
}

TEST(ExperimentLibrary, RefusesFaultyFamilies) {
  expect_refused("[default]\n", {"family.toml:1", "did you mean 'defaults'?"});
  expect_refused("defaults = 1\n", {"family.toml:1", "defaults"});
  expect_refused("run = 1\n", {"family.toml:1", "run"});
  expect_refused("[run]\nx = 1\n", {"family.toml:2", "run.x"});
  expect_refused("[run.x]\nbase = 1\n", {"family.toml:2", "base"});
  expect_refused("[run.x]\nbase = \"y\"\n", {"family.toml:1", "\"y\""});
  expect_refused("[run.x]\nbase = \"y\"\n[run.y]\nbase = \"x\"\n", {"its own base"});
  expect_refused("[run.x]\nmodel.layers = [\"flatten\", \"linear 10\"]\nmodel.layrs = []\n",
                 {"family.toml:3", "did you mean 'layers'?"});
  expect_refused("[run.x]\nmodel.layers = [\"flatten\", \"linear 9\"]\n", {"x", "[10]", "[9]"});
  expect_refused(
      "[run.x]\nmodel.layers = [\"flatten\", \"linear 10\"]\nreported.parameter_count = 7\n",
      {"x", "7", "7850"});
  expect_refused("[run.x\n", {"family.toml:1", "not TOML"});
  const EmbeddedFile twice[] = {file("one", kFamily), file("two", kFamily)};
  EXPECT_THROW(ExperimentLibrary{twice}, UsageError);
}

}  // namespace
}  // namespace vktrain::nn
