#include "nn/experiment/layer_graph.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "nn/experiment/experiment_toml.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// A model with these layers, one text each, over images [2, 8, 8], for 5 classes.
std::string text_of(const std::vector<std::string>& layers) {
  std::string text = "[data]\nclasses = 5\n[model]\ninput = [2, 8, 8]\nlayers = [";
  for (const std::string& layer : layers) text += fmt::format("\"{}\", ", layer);
  return text + "]\n";
}

Experiment model(const std::vector<std::string>& layers) {
  return parse_experiment(text_of(layers), "");
}

LayerGraph graph(const std::vector<std::string>& layers) {
  return resolve_layers(model(layers).model);
}

void expect_refused(const std::vector<std::string>& layers, std::string_view message) {
  try {
    model(layers);
    ADD_FAILURE() << "was accepted; expected: " << message;
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()), message);
  }
}

TEST(LayerGraph, EveryLayerGivesItsShapeAndParameters) {
  const LayerGraph g = graph({"conv2d 6 kernel=3 padding=1 stride=2", "batch_norm", "relu",
                              "conv2d 4 kernel=3x1 groups=2 padding=1x0 bias=false", "gelu",
                              "max_pool2d 2", "avg_pool2d 2 stride=1", "dropout2d", "batch_norm",
                              "flatten", "batch_norm", "linear 5"});
  const std::vector<Extent> shapes = {{6, 4, 4}, {6, 4, 4}, {6, 4, 4}, {4, 4, 4},
                                      {4, 4, 4}, {4, 2, 2}, {4, 1, 1}, {4, 1, 1},
                                      {4, 1, 1}, {4},       {4},       {5}};
  const std::vector<std::int64_t> parameters = {6 * 18 + 6, 12, 0, 4 * 3 * 3, 0, 0,
                                                0,          0,  8, 0,         8, 25};
  ASSERT_EQ(g.nodes.size(), shapes.size());
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    EXPECT_EQ(g.nodes[i].output, shapes[i]) << i;
    EXPECT_EQ(g.nodes[i].parameters, parameters[i]) << i;
    EXPECT_EQ(g.nodes[i].index, i);
    EXPECT_EQ(g.nodes[i].name, std::to_string(i));
    EXPECT_EQ(g.nodes[i].inputs, std::vector<std::size_t>{i == 0 ? kModelInput : i - 1});
  }
  EXPECT_EQ(graph({"global_avg_pool2d", "linear 5"}).nodes[0].output, (Extent{2}));
}

TEST(LayerGraph, PaddingByName) {
  const auto output = [](const std::string& layer) {
    return graph({layer, "flatten", "linear 5"}).nodes[0].output;
  };
  EXPECT_EQ(output("conv2d 3 kernel=4 padding=same"), (Extent{3, 8, 8}));
  EXPECT_EQ(output("conv2d 3 kernel=5 stride=3 padding=same"), (Extent{3, 3, 3}));
  EXPECT_EQ(output("conv2d 3 kernel=5 padding=valid"), (Extent{3, 4, 4}));
  EXPECT_EQ(output("conv2d 3 kernel=3x5 padding=0x2"), (Extent{3, 6, 8}));
  EXPECT_EQ(output("conv2d 3 kernel=3 dilation=2"), (Extent{3, 4, 4}));
  EXPECT_EQ(output("max_pool2d 3 padding=same"), (Extent{2, 3, 3}));
  EXPECT_EQ(output("max_pool2d 3"), (Extent{2, 2, 2}));
  EXPECT_EQ(output("max_pool2d 3 stride=1 padding=1"), (Extent{2, 8, 8}));
  // Keras's odd zero is at the end.
  const LayerSpec layer =
      model({"conv2d 3 kernel=4 padding=same", "flatten", "linear 5"}).model.layers[0];
  const Window2d window = window_of(layer, {8, 8});
  EXPECT_EQ(window.padding_begin, (Size2d{1, 1}));
  EXPECT_EQ(window.padding_end, (Size2d{2, 2}));
}

TEST(LayerGraph, BranchesMeetInSumsAndConcatenations) {
  const LayerGraph g = graph({"conv2d 4 kernel=1 name=a", "conv2d 4 kernel=1 name=b inputs=input",
                              "add inputs=a,b,a name=sum", "concat inputs=sum,input name=all",
                              "flatten", "linear 5 name=classes"});
  EXPECT_EQ(g.nodes[1].inputs, std::vector<std::size_t>{kModelInput});
  EXPECT_EQ(g.nodes[2].inputs, (std::vector<std::size_t>{0, 1, 0}));
  EXPECT_EQ(g.nodes[2].name, "sum");
  EXPECT_EQ(g.nodes[3].inputs, (std::vector<std::size_t>{2, kModelInput}));
  EXPECT_EQ(g.nodes[3].output, (Extent{6, 8, 8}));
  EXPECT_EQ(g.nodes[5].name, "classes");
}

TEST(LayerGraph, AListInAnyOrderRuns) {
  const LayerGraph g =
      graph({"linear 5 inputs=flat", "flatten name=flat inputs=sum", "add name=sum inputs=a,b",
             "conv2d 3 kernel=1 name=a inputs=input", "relu name=b"});
  std::vector<std::size_t> order;
  for (const LayerNode& node : g.nodes) order.push_back(node.index);
  EXPECT_EQ(order, (std::vector<std::size_t>{3, 4, 2, 1, 0}));
  EXPECT_EQ(parameter_count(model({"linear 5 inputs=flat", "flatten name=flat inputs=input"})),
            128 * 5 + 5);
}

TEST(LayerGraph, NamesThatDoNotWork) {
  expect_refused({"conv2d 3 kernel=1 name=stem", "relu inputs=stam", "flatten", "linear 5"},
                 "model.layers[1] (relu) has a wrong input: there is no layer \"stam\"; did you "
                 "mean 'stem'?");
  expect_refused({"flatten name=a", "relu name=a", "linear 5"},
                 "model.layers[1] (relu a) needs a name of its own, but \"a\" is the name of "
                 "model.layers[0] (flatten a) too.");
  expect_refused({"relu name=a", "add name=b inputs=a", "flatten", "linear 5"},
                 "model.layers[1] (add b) needs the names of at least two inputs, as inputs=a,b, "
                 "but it has 1.");
  expect_refused({"relu", "concat", "flatten", "linear 5"},
                 "model.layers[1] (concat) needs the names of at least two inputs, as inputs=a,b, "
                 "but it has 0.");
  expect_refused({"relu name=a", "flatten inputs=a,input", "linear 5"},
                 "model.layers[1] (flatten) needs one input, but it has 2.");
}

TEST(LayerGraph, CyclesAndLooseEnds) {
  expect_refused({"relu name=a inputs=c", "relu name=b", "relu name=c", "flatten", "linear 5"},
                 "model.layers[0] (relu a) cannot run, because it needs its own output: "
                 "a -> b -> c -> a.");
  expect_refused({"flatten", "linear 5", "add name=x inputs=x,1"},
                 "model.layers[2] (add x) cannot run, because it needs its own output: x -> x.");
  // The layers behind the cycle are not part of it.
  expect_refused(
      {"flatten name=f inputs=s", "linear 5", "add name=s inputs=input,r", "relu name=r inputs=s"},
      "model.layers[2] (add s) cannot run, because it needs its own output: "
      "s -> r -> s.");
  expect_refused({"conv2d 3 kernel=1 name=a", "relu name=b inputs=input", "flatten", "linear 5"},
                 "model.layers[0] (conv2d a) gives an output that no layer uses, and so does "
                 "model.layers[3] (linear), but a model has one output; name the other among the "
                 "inputs of a layer, or leave it out.");
  expect_refused({"flatten", "softmax", "linear 5"},
                 "model.layers[1] (softmax) must be the last layer, because the loss computes it, "
                 "but another layer reads it.");
}

TEST(LayerGraph, ShapesThatDoNotFit) {
  const std::string rest_of_planes =
      " needs an input of shape [channels, height, width], but it gets [128]; put it before the "
      "layer that flattens.";
  for (const auto& [layer, type] :
       std::vector<std::pair<std::string, std::string>>{{"conv2d 3 kernel=1", "conv2d"},
                                                        {"max_pool2d 2", "max_pool2d"},
                                                        {"avg_pool2d 2", "avg_pool2d"},
                                                        {"global_avg_pool2d", "global_avg_pool2d"},
                                                        {"dropout2d", "dropout2d"}}) {
    expect_refused({"flatten", layer, "linear 5"},
                   fmt::format("model.layers[1] ({}){}", type, rest_of_planes));
  }
  expect_refused({"conv2d 3 kernel=1 name=stem", "linear 5 name=classes"},
                 "model.layers[1] (linear classes) needs an input of shape [features], but it gets "
                 "[3, 8, 8]; put a flatten layer before it.");
  expect_refused({"flatten", "flatten", "linear 5"},
                 "model.layers[1] (flatten) needs an input of shape [channels, height, width], but "
                 "it gets [128], which is flat; leave the layer out.");
  expect_refused({"conv2d 3 kernel=1 name=a", "add inputs=a,input", "flatten", "linear 5"},
                 "model.layers[1] (add) needs inputs of one shape, but it gets [3, 8, 8] and "
                 "[2, 8, 8].");
  expect_refused({"max_pool2d 2 name=a", "concat inputs=a,input", "flatten", "linear 5"},
                 "model.layers[1] (concat) needs inputs that differ in their first dimension only, "
                 "but it gets [2, 4, 4] and [2, 8, 8].");
  expect_refused({"flatten name=a", "concat inputs=a,input", "linear 5"},
                 "model.layers[1] (concat) needs inputs that differ in their first dimension only, "
                 "but it gets [128] and [2, 8, 8].");
  expect_refused({"conv2d 4 kernel=1 groups=4", "flatten", "linear 5"},
                 "model.layers[0] (conv2d) has 4 groups, which must divide its input channels and "
                 "its output channels, but they are 2 and 4.");
  expect_refused({"conv2d 3 kernel=1 groups=2", "flatten", "linear 5"},
                 "model.layers[0] (conv2d) has 2 groups, which must divide its input channels and "
                 "its output channels, but they are 2 and 3.");
}

TEST(LayerGraph, WindowsThatDoNotFit) {
  expect_refused({"conv2d 3 kernel=9x3 name=big", "flatten", "linear 5"},
                 "model.layers[0] (conv2d big): the window of 9 x 3 (kernel 9 x 3, dilation 1 x 1) "
                 "is larger than its padded input of 8 x 8; expected a window that fits: make the "
                 "kernel smaller or pad more.");
  expect_refused({"max_pool2d 9", "flatten", "linear 5"},
                 "model.layers[0] (max_pool2d): the window of 9 x 9 (kernel 9 x 9, dilation 1 x 1) "
                 "is larger than its padded input of 8 x 8; expected a window that fits: make the "
                 "kernel smaller or pad more.");
  expect_refused({"avg_pool2d 2 padding=2", "flatten", "linear 5"},
                 "model.layers[0] (avg_pool2d): with padding of 2 x 2 and 2 x 2 around an input of "
                 "8 x 8, a window (kernel 2 x 2, dilation 1 x 1) would see nothing but padding; "
                 "pad less than the kernel's size.");
}

TEST(LayerGraph, SizesThatNoMachineHas) {
  expect_refused({"conv2d 1048576 kernel=1 padding=4096", "flatten", "linear 5"},
                 "model.layers[0] (conv2d) must give at most 67108864 values for an image, but "
                 "[1048576, 8200, 8200] has 70506250240000.");
  expect_refused({"conv2d 1048576 kernel=4096 padding=2100 stride=4096", "flatten", "linear 5"},
                 "model.layers[0] (conv2d) must have at most 1099511627776 weights, but it has "
                 "3.52e+13.");
}

}  // namespace
}  // namespace vktrain::nn
