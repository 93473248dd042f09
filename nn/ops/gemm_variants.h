// The kernels that can do a matrix product, and the choice between them for a device and a shape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/loop_turns.h"
#include "nn/precision.h"
#include "runtime/device.h"

namespace vktrain::nn {

enum class GemmForm;

struct GemmSizes {
  std::int64_t m = 0, n = 0, k = 0;
};

struct GemmVariant {
  std::string name;  // "register 16x8", "tiled 32x32 split 8": as the tuner remembers it
  std::string shader;
  std::uint32_t workgroup = 64;  // invocations
  std::int64_t tile_rows = 0;    // of C, per workgroup
  std::int64_t tile_columns = 0;
  bool rows_first = false;   // workgroups count down the rows of C (x), then along its columns (y)
  std::uint32_t splits = 1;  // of K; more than 1: a second pass sums
  std::int64_t k_per_split = 0;
  bool transposed = false;  // "shuffle" kernels: the lanes lie along the rows of C
  LoopTurns turns = {};     // over K
  // Not measured by the tuner, as it fits the shape less or is far slower here: taken where the
  // others fail, and in the tuner's check of a kernel that won at another size.
  bool last_resort = false;
  std::vector<std::uint32_t> constants = {};  // of the "tiled" kernels, from id 7 on
};

// The kernels within the device's limits, the proposal first: register tiles on CPU drivers (by
// shuffles where a subgroup has 8 lanes, others as the last resort), shared-memory tiles elsewhere,
// the largest first that fill the device. K is split where M x N has too few tiles for that, on CPU
// drivers only for the weight gradient (tn), and where an invocation's loop over K would be longer
// than the device's loops may be. The list never depends on the number of replicas, so
// that a replica's bits equal those of a single run. In mixed precision kernels for the device's
// matrix units follow, never first: a tuner must have compared one with the reference before.
std::vector<GemmVariant> gemm_candidates(GemmForm form, const GemmSizes& sizes,
                                         const runtime::DeviceProfile& device,
                                         Precision precision = Precision::f32);

// The same kernel with K in one piece.
GemmVariant unsplit(GemmVariant variant, const GemmSizes& sizes);

// Whether the device has "shuffle" kernels: its subgroup is a workgroup of 8 lanes.
bool gemm_can_shuffle(const runtime::DeviceProfile& device);

// Values of the specialization constants; entries 1 to 4 (epilogue, precision) are 0 for the
// caller to set.
std::vector<std::uint32_t> gemm_constants(const GemmVariant& variant, GemmForm form);

}  // namespace vktrain::nn
