#include "nn/fusion_gather_batch.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "nn/ops/gather_batch.h"
#include "nn/ops/gemm.h"
#include "nn/ops/gemm_variants.h"
#include "nn/ops/reshape.h"
#include "nn/optimizers/gemm_update.h"
#include "nn/rewrite.h"

namespace vktrain::nn {
namespace {

constexpr std::int64_t kMostOutputs = 256;  // of the layer; docs/rejected.md has wider ones

std::int64_t times_read(const Operation& operation, const Graph& graph, ValueId batch) {
  return std::ranges::count_if(
      operation.inputs(), [&](ValueId id) { return id != kNoValue && graph.root(id) == batch; });
}

// Whether the operation has kernels that read the batch in the data set, as x alone.
bool can_gather(const Graph& graph, std::size_t index, ValueId batch) {
  const auto is_batch = [&](ValueId id) { return graph.root(id) == batch; };
  const auto is_narrow = [&](ValueId rows) { return graph.value(rows).shape[0] <= kMostOutputs; };
  if (times_read(*graph.operations()[index], graph, batch) != 1) return false;
  if (const auto* update = as<GemmUpdate>(graph, index)) {
    return is_batch(update->x()) && update->can_gather() && is_narrow(update->weight());
  }
  const auto* gemm = as<Gemm>(graph, index);
  if (!gemm || gemm->form() == GemmForm::nn) return false;
  const bool zero_padded = graph.value(graph.root(gemm->b())).kind == ValueKind::parameter;
  return gemm->form() == GemmForm::nt ? is_batch(gemm->a()) && is_narrow(gemm->b()) && zero_padded
                                      : is_batch(gemm->b()) && is_narrow(gemm->c());
}

bool is_kept(const Graph& graph, ValueId batch) {
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (graph.root(id) == batch && graph.kept(id)) return true;
  }
  return false;
}

void gather(Graph& graph, std::size_t index, const std::vector<std::size_t>& readers) {
  auto& operations = graph.operations();
  std::unique_ptr<GatherBatch> with_places = as<GatherBatch>(graph, index)->with_places(graph);
  const GatheredBatch batch = with_places->gathered();
  operations[index] = std::move(with_places);
  for (const std::size_t reader : readers) {
    Operation* const operation = operations[reader].get();
    if (auto* gemm = dynamic_cast<Gemm*>(operation)) gemm->gather(batch);
    if (auto* update = dynamic_cast<GemmUpdate*>(operation)) update->gather(batch);
  }
}

// What reads the batch; empty where something cannot gather it.
std::vector<std::size_t> gathering_readers(const Graph& graph, ValueId batch) {
  std::vector<std::size_t> readers;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    if (as<Reshape>(graph, i) || times_read(*graph.operations()[i], graph, batch) == 0) continue;
    if (!can_gather(graph, i, batch)) return {};
    readers.push_back(i);
  }
  return readers;
}

}  // namespace

void fuse_gather_batch(Graph& graph, const runtime::DeviceProfile& device) {
  if (!gemm_can_shuffle(device)) return;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    const auto* gathering = as<GatherBatch>(graph, i);
    if (!gathering || gathering->augments() || gathering->has_places()) continue;
    if (is_kept(graph, gathering->x())) continue;
    const std::vector<std::size_t> readers = gathering_readers(graph, gathering->x());
    if (!readers.empty()) gather(graph, i, readers);
  }
}

}  // namespace vktrain::nn
