// The first part of `vktrain check`: every operation of the catalogue in every variant that the
// device offers, against the double-precision references.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/check/catalogue.h"
#include "nn/check/report.h"

namespace vktrain::nn {

struct CheckOptions {
  // Rows whose name contains it, without regard to case; empty: all.
  std::string filter = "";
  std::uint64_t seed = 1;
  // On a CPU driver also the tuner's last resorts and the kernels that only other devices get, as
  // far as this one can run them.
  bool all_kernels = false;
  // Called before each piece of work with what comes next, by one thread at a time; what it throws
  // ends the check.
  std::function<void(std::string_view)> on_progress = nullptr;
  // The same device opened again, each for a thread that runs operations beside the first: CPU
  // drivers compile on one thread a device. Rows are the same with and without.
  std::vector<runtime::Device*> helpers = {};

  bool wants(const CheckRow& row) const;
  void progress(std::string_view what) const {
    if (on_progress) on_progress(what);
  }
};

// The rows that check_operations will fill, as the catalogue meets them. Those of variants that
// only another device would get are skipped ones and say why.
std::vector<CheckRow> list_operations(const runtime::Device& device, const CheckOptions& options,
                                      std::span<const CatalogueCase> catalogue);
// What fails is told in its row, and the check goes on.
std::vector<CheckRow> check_operations(runtime::Device& device, const CheckOptions& options,
                                       std::span<const CatalogueCase> catalogue);

}  // namespace vktrain::nn
