// What the tuner found on a device, remembered in the user's cache: a JSON file for each device,
// driver and set of shaders. A file that is damaged or of another device is ignored and rewritten.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "nn/tuning/variant_choices.h"
#include "runtime/device.h"

namespace vktrain::nn {

struct TunedKernel {
  std::string name;  // of the candidate
  // In a contest that came to its end. Else the budget was spent: before it began, and this is the
  // proposal, or within it, and this is the fastest so far.
  bool measured = false;

  bool operator==(const TunedKernel&) const = default;
};
using TunedKernels = std::map<VariantChoices::Key, TunedKernel>;

// Both; where they differ, what another run may have used, theirs, stays, unless only ours is
// measured.
TunedKernels merge(const TunedKernels& ours, const TunedKernels& theirs);

class TuningStore {
 public:
  // Without a folder nothing is remembered.
  TuningStore(std::optional<std::filesystem::path> folder, const runtime::DeviceProfile& device);

  // Empty when there is no file; a file that cannot be used is empty, too, and `problem` tells why.
  TunedKernels load();
  // Merges with what the file holds by now, which another process may have written, and replaces it
  // atomically; `outdated` are entries of the file that count no more. Returns what it holds now:
  // where that differs from `kernels`, another process was first, and its answer should be used.
  // Empty: nothing is remembered, and `problem` tells why unless there is no folder.
  std::optional<TunedKernels> save(const TunedKernels& kernels, const TunedKernels& outdated = {});

  const std::string& problem() const { return problem_; }
  const std::string& file_name() const { return file_name_; }

 private:
  std::optional<std::filesystem::path> folder_;
  // Device, driver, its version, a hash of the program's shaders, and the limits in force, if any.
  std::map<std::string, std::string> owner_;
  std::string file_name_;
  std::string problem_;
};

}  // namespace vktrain::nn
