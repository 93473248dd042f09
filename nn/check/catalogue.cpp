#include "nn/check/catalogue.h"

#include <algorithm>
#include <iterator>

namespace vktrain::nn {

std::vector<CatalogueCase> operation_catalogue(std::uint64_t seed,
                                               const runtime::DeviceProfile& device) {
  std::vector<CatalogueCase> all = product_catalogue(seed, device);
  for (std::vector<CatalogueCase> part :
       {layer_catalogue(seed), step_catalogue(seed, device), optimizer_catalogue(seed, device)}) {
    std::ranges::move(part, std::back_inserter(all));
  }
  for (CatalogueCase& c : all) c.operation.replicas = 1;
  return all;
}

}  // namespace vktrain::nn
