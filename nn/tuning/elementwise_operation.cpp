#include "nn/tuning/elementwise_operation.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "nn/ops/activation.h"
#include "nn/ops/add.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/bias_add.h"
#include "nn/ops/dropout.h"
#include "nn/optimizers/optimizer.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

constexpr std::int64_t kColumns = 256;
constexpr ActivationSpec kRelu{.kind = Activation::relu};

OptimizerConfig adam_config() {
  return default_optimizer(OptimizerKind::adam, OptimizerDefinition::pytorch);
}

class Builder {
 public:
  Builder(ElementwiseOperation& operation, std::int64_t rows)
      : operation_(operation), graph_(operation.single.graph), shape_{rows, kColumns} {}

  void build(Elementwise kind) {
    ValueId& result = operation_.single.result;
    switch (kind) {
      case Elementwise::add:
        result = add(graph_, operand("a"), operand("b"), "bench");
        break;
      case Elementwise::relu:
        result = activation(graph_, operand("x"), kRelu, "bench");
        break;
      case Elementwise::relu_backward:
        add_relu_backward();
        break;
      case Elementwise::bias_add:
        result = bias_add(graph_, operand("x"), operand("bias", {kColumns}), "bench");
        break;
      case Elementwise::batch_norm:
        result = batch_norm_train(graph_, operand("x"), BatchNormOptions{}, "bench");
        break;
      case Elementwise::batch_norm_backward:
        add_batch_norm_backward();
        break;
      case Elementwise::dropout:
        operation_.step = add_step_inputs(graph_, 1);
        result = dropout(graph_, operand("x"), 0, operation_.step, "bench");
        break;
      case Elementwise::adam:
        add_adam();
        break;
    }
    if (result != kNoValue) graph_.keep(result);
  }

 private:
  ValueId operand(std::string name) { return operand(std::move(name), shape_); }
  ValueId operand(std::string name, const Shape& shape) {
    const ValueId id = graph_.add_external(std::move(name), shape, DType::f32, false);
    operation_.single.operands.push_back(id);
    return id;
  }

  void add_relu_backward() {
    const ValueId dy = operand("dy"), y = operand("y");
    operation_.single.result = graph_.add_activation("dx", shape_);
    graph_.add(std::make_unique<ActivationBackward>(dy, y, operation_.single.result, kRelu));
  }

  void add_batch_norm_backward() {
    const ValueId dy = operand("dy"), x = operand("x");
    const ValueId mean = operand("mean", {2, kColumns}), scale = operand("scale", {kColumns});
    const ValueId weight = operand("weight", {kColumns});
    operation_.single.result = graph_.add_activation("dx", shape_);
    const ValueId dweight = graph_.add_activation("dweight", {kColumns});
    const ValueId dbias = graph_.add_activation("dbias", {kColumns});
    graph_.add(std::make_unique<BatchNormBackward>(true, dy, x, mean, scale, weight,
                                                   operation_.single.result, dweight, dbias,
                                                   BatchNormOptions{}));
  }

  // In place on the parameter range: no operand, no result.
  void add_adam() {
    operation_.step = add_step_inputs(graph_, 1);
    const Parameter weight{.name = "bench.weight", .shape = shape_};
    graph_.parameters().declare(weight);
    graph_.gradient_slot(graph_.add_parameter(weight));
    add_optimizer(graph_, adam_config(), operation_.step);
    operation_.optimizer_slots = nn::optimizer_slots(adam_config());
  }

  ElementwiseOperation& operation_;
  Graph& graph_;
  Shape shape_;
};

}  // namespace

std::vector<Elementwise> elementwise_operations() {
  return {Elementwise::add,      Elementwise::relu,       Elementwise::relu_backward,
          Elementwise::bias_add, Elementwise::batch_norm, Elementwise::batch_norm_backward,
          Elementwise::dropout,  Elementwise::adam};
}

std::string_view to_string(Elementwise kind) {
  switch (kind) {
    case Elementwise::add:
      return "add";
    case Elementwise::relu:
      return "relu";
    case Elementwise::relu_backward:
      return "relu backward";
    case Elementwise::bias_add:
      return "bias add";
    case Elementwise::batch_norm:
      return "batch norm";
    case Elementwise::batch_norm_backward:
      return "batch norm backward";
    case Elementwise::dropout:
      return "dropout";
    case Elementwise::adam:
      break;
  }
  return "adam";
}

std::unique_ptr<ElementwiseOperation> elementwise_operation(Elementwise kind, std::int64_t size) {
  if (size < 1) {
    throw Error(fmt::format("{}: expected at least 1 element, found {}.", to_string(kind), size));
  }
  auto operation = std::make_unique<ElementwiseOperation>();
  Builder(*operation, divide_up(size, kColumns)).build(kind);
  return operation;
}

void prepare_step(const ElementwiseOperation& operation, Executable& executable) {
  if (operation.step.hyperparameters == kNoValue) return;
  Hyperparameters hyperparameters;
  fill_hyperparameters(adam_config(), hyperparameters);
  hyperparameters.dropout[0] = 0.5f;
  std::array<std::uint32_t, kHyperparameterWords> words{};
  std::memcpy(words.data(), &hyperparameters, sizeof hyperparameters);
  executable.write_words(operation.step.hyperparameters, words);
  const StepTableEntry entry = step_table_entry(adam_config(), 1, 1e-3);
  executable.write(operation.step.table, std::array{entry.learning_rate, entry.bias_correction1,
                                                    entry.sqrt_bias_correction2, entry.reserved});
}

}  // namespace vktrain::nn
