#include "apps/vktrain/summary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <string>
#include <vector>

#include "apps/vktrain/text.h"

namespace vktrain::app {
namespace {

// Without the batch: "[784]", "[8, 28, 28]".
std::string output_text(const nn::Shape& shape) {
  const std::vector<std::int64_t>& dims = shape.dims();
  return fmt::format("[{}]", fmt::join(dims.begin() + 1, dims.end(), ", "));
}

}  // namespace

std::string model_summary(const nn::Trainer& trainer, const nn::Experiment& experiment,
                          const runtime::DeviceProfile& device) {
  TextTable table({{"layer"},
                   {"type"},
                   {"output", Align::right},
                   {"parameters", Align::right},
                   {"multiply-adds", Align::right}});
  std::int64_t multiply_adds = 0;
  for (const nn::LayerSummary& layer : trainer.layers()) {
    table.add_row({layer.name, layer.type, output_text(layer.output), grouped(layer.parameters),
                   grouped(layer.multiply_adds)});
    multiply_adds += layer.multiply_adds;
  }
  table.add_row({"total", "", "", grouped(trainer.parameter_count()), grouped(multiply_adds)});

  const std::string replicas =
      trainer.replicas() > 1 ? fmt::format(", {} replicas at once", trainer.replicas()) : "";
  const std::string limits =
      device.limits.empty() ? "" : fmt::format(", within the limits of \"{}\"", device.limits);
  return fmt::format(
      "{}\n{}{} dispatches a step, {} planned for a batch of {} (no plan needs less than {}){}\n"
      "on {}, {} {}{}\n",
      experiment.id.empty() ? "model" : experiment.id, table.text(), trainer.dispatches_per_step(),
      byte_size(static_cast<double>(trainer.planned_bytes())), experiment.training.batch_size,
      byte_size(static_cast<double>(trainer.least_planned_bytes())), replicas, device.name,
      device.driver_name, device.driver_info, limits);
}

}  // namespace vktrain::app
