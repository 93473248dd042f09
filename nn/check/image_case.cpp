#include "nn/check/image_case.h"

#include <utility>

#include "nn/ops/reshape.h"

namespace vktrain::nn {

OperationCase image_case(const ImageShape& image, std::uint64_t seed,
                         std::function<ValueId(Graph&, ValueId x)> build) {
  OperationCase c;
  c.batch = image.batch;
  c.columns = image.columns();
  c.replicas = 1 + static_cast<std::uint32_t>(seed % 3);
  c.seed = seed;
  c.build = [image, build = std::move(build)](Graph& graph, ValueId x) {
    return flatten(graph, build(graph, reshape(graph, x, image.shape(), "image")), "flat");
  };
  return c;
}

}  // namespace vktrain::nn
