#include "nn/tuning/single_operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/reference/half.h"
#include "nn/rng.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Far above what any device holds, and low enough that products of sizes stay in 64 bits.
constexpr double kMaxElements = 0x1p40;

void require_shape(const Shape& shape, const std::string& subject) {
  double elements = 1;
  for (const std::int64_t size : shape.dims()) {
    if (size < 1) {
      throw Error(fmt::format("{}: every size must be at least 1, but one is {}.", subject, size));
    }
    elements *= static_cast<double>(size);
  }
  if (elements > kMaxElements) {
    throw Error(
        fmt::format("{}: a value of shape {} is larger than any device holds; take "
                    "smaller sizes.",
                    subject, to_string(shape)));
  }
}

ValueId add_operand(SingleOperation& single, std::string name, const Shape& shape,
                    DType dtype = DType::f32) {
  const ValueId id = single.graph.add_external(std::move(name), shape, dtype, false);
  single.operands.push_back(id);
  single.bytes += bytes_of(shape.elements());
  return id;
}

ValueId add_result(SingleOperation& single, std::string name, const Shape& shape) {
  single.result = single.graph.add_activation(std::move(name), shape);
  single.graph.keep(single.result);
  single.bytes += bytes_of(shape.elements());
  return single.result;
}

std::pair<Shape, Shape> operand_shapes(const GemmCase& c) {
  switch (c.form) {
    case GemmForm::nt:
      return {{c.m, c.k}, {c.n, c.k}};
    case GemmForm::nn:
      return {{c.m, c.k}, {c.k, c.n}};
    case GemmForm::tn:
      break;
  }
  return {{c.k, c.m}, {c.k, c.n}};
}

struct Conv2dShapes {
  Shape x, weight;
  Shape y, winners;  // pooled where the case is
  double outputs = 0;
};

Conv2dShapes conv2d_shapes(const Conv2dCase& c, const std::string& subject) {
  const Window2d& window = c.options.window;
  const std::int64_t groups = c.options.groups;
  if (groups < 1 || c.in_channels % groups != 0 || c.out_channels % groups != 0) {
    throw Error(
        fmt::format("{}: the groups must divide {} input and {} output channels, but there "
                    "are {}.",
                    subject, c.in_channels, c.out_channels, groups));
  }
  Conv2dShapes shapes;
  shapes.x = {c.batch, c.in_channels, c.input.height, c.input.width};
  require_shape(shapes.x, subject);
  const Size2d output = output_size(window, c.input, subject);
  shapes.weight = {c.out_channels, c.in_channels / groups, window.kernel.height,
                   window.kernel.width};
  shapes.y = {c.batch, c.out_channels, output.height, output.width};
  shapes.outputs = static_cast<double>(shapes.y.elements());
  if (c.pooled) {
    if (output.height % 2 != 0 || output.width % 2 != 0) {
      throw Error(fmt::format(
          "{}: pooling by tiles of 2 x 2 needs an output of even height and width, found {}.",
          subject, to_string(output)));
    }
    shapes.y = {c.batch, c.out_channels, output.height / 2, output.width / 2};
    shapes.winners = {c.batch, c.out_channels, output.height / 2};
  }
  require_shape(shapes.weight, subject);
  require_shape(shapes.y, subject);
  return shapes;
}

std::unique_ptr<Operation> forward_conv2d(SingleOperation& single, const Conv2dCase& c,
                                          const Conv2dShapes& shapes) {
  const ValueId x = add_operand(single, "x", shapes.x);
  const ValueId weight = add_operand(single, "weight", shapes.weight);
  Conv2dEpilogue epilogue;
  if (c.pooled) {
    epilogue.winners = single.graph.add_activation("winners", shapes.winners, DType::u32);
    single.bytes += bytes_of(shapes.winners.elements());
  }
  return std::make_unique<Conv2d>(x, weight, add_result(single, "y", shapes.y), c.options,
                                  epilogue);
}

std::unique_ptr<Operation> conv2d_operation(SingleOperation& single, const Conv2dCase& c,
                                            const Conv2dShapes& shapes) {
  const auto add_winners = [&] {
    return c.pooled ? add_operand(single, "winners", shapes.winners, DType::u32) : kNoValue;
  };
  switch (c.pass) {
    case Conv2dPass::forward:
      return forward_conv2d(single, c, shapes);
    case Conv2dPass::data_gradient: {
      const ValueId dy = add_operand(single, "dy", shapes.y);
      const ValueId weight = add_operand(single, "weight", shapes.weight);
      const ValueId winners = add_winners();
      return std::make_unique<Conv2dDataGradient>(dy, weight, add_result(single, "dx", shapes.x),
                                                  c.options, ActivationSpec{}, kNoValue, winners);
    }
    case Conv2dPass::weight_gradient:
      break;
  }
  const ValueId dy = add_operand(single, "dy", shapes.y);
  const ValueId x = add_operand(single, "x", shapes.x);
  const ValueId winners = add_winners();
  return std::make_unique<Conv2dWeightGradient>(dy, x, add_result(single, "dweight", shapes.weight),
                                                c.options, kNoValue, winners);
}

}  // namespace

std::string to_string(const GemmCase& c) {
  return fmt::format("gemm {} {} x {} x {}", to_string(c.form), c.m, c.n, c.k);
}

std::string to_string(const Conv2dCase& c) {
  return fmt::format("conv2d {} [{}, {}, {}, {}] -> {}, {}{}", to_string(c.pass), c.batch,
                     c.in_channels, c.input.height, c.input.width, c.out_channels,
                     to_string(c.options.window.kernel), c.pooled ? ", pooled" : "");
}

std::unique_ptr<SingleOperation> single_gemm(const GemmCase& c) {
  const std::string subject = to_string(c);
  const auto [a_shape, b_shape] = operand_shapes(c);
  const Shape c_shape = {c.m, c.n};
  for (const Shape& shape : {a_shape, b_shape, c_shape}) require_shape(shape, subject);
  auto single = std::make_unique<SingleOperation>();
  const ValueId a = add_operand(*single, "a", a_shape);
  const ValueId b = add_operand(*single, "b", b_shape);
  auto gemm = std::make_unique<Gemm>(c.form, a, b, add_result(*single, "c", c_shape));
  gemm->may_split = c.may_split;
  Operation& operation = single->graph.add(std::move(gemm));
  operation.label = subject;
  operation.precision = c.precision;
  single->flops =
      2.0 * static_cast<double>(c.m) * static_cast<double>(c.n) * static_cast<double>(c.k);
  return single;
}

std::unique_ptr<SingleOperation> single_conv2d(const Conv2dCase& c) {
  const std::string subject = to_string(c);
  const Conv2dShapes shapes = conv2d_shapes(c, subject);
  auto single = std::make_unique<SingleOperation>();
  Operation& operation = single->graph.add(conv2d_operation(*single, c, shapes));
  operation.label = subject;
  operation.precision = c.precision;
  single->flops = 2.0 * shapes.outputs * static_cast<double>(shapes.weight.elements_per_row());
  return single;
}

std::int64_t capped_size(std::int64_t size, std::int64_t tile) {
  return size < 2 * tile ? size : tile + size % tile;
}

std::vector<float> operand_values(const SingleOperation& single, std::size_t operand,
                                  std::uint64_t seed) {
  const Shape& shape = single.graph.value(single.operands.at(operand)).shape;
  PhiloxRng rng(seed, operand);
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  // 24 bits, so that the float is exact and below 1.
  for (float& value : values) value = static_cast<float>(rng.next_u32() >> 8) * 0x1p-23f - 1.0f;
  const auto& operations = single.graph.operations();
  if (!operations.empty() && operations.front()->precision == Precision::mixed) {
    for (float& value : values) value = static_cast<float>(reference::to_half(value));
  }
  return values;
}

std::vector<double> reference_values(const SingleOperation& single, std::size_t operand,
                                     std::uint64_t seed) {
  const std::vector<float> values = operand_values(single, operand, seed);
  if (single.graph.value(single.operands.at(operand)).dtype == DType::f32) {
    return {values.begin(), values.end()};
  }
  std::vector<double> words(values.size());
  std::ranges::transform(values, words.begin(), [](float value) { return float_bits(value); });
  return words;
}

void fill_operands(const SingleOperation& single, Executable& executable, std::uint64_t seed) {
  for (std::size_t i = 0; i < single.operands.size(); ++i) {
    const std::vector<float> values = operand_values(single, i, seed);
    for (std::uint32_t r = 0; r < executable.plan().options().replicas; ++r) {
      executable.write(single.operands[i], values, r);
    }
  }
}

}  // namespace vktrain::nn
