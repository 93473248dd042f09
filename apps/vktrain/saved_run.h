// What `evaluate` and `predict` share: the run to load.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/vktrain/device_session.h"
#include "nn/training/inference.h"
#include "nn/training/run_folder.h"

namespace CLI {
class App;
}

namespace vktrain::app {

struct SavedRunOptions {
  std::string path;  // run folder or safetensors file
  std::optional<std::string> config;
  std::optional<std::string> data;
};

// Throws Error, naming the option, when the folder that `file` is to be written into does not
// exist.
void require_folder_of(const std::string& file, std::string_view option);

void add_saved_run_options(CLI::App& command, SavedRunOptions& options);

nn::SavedRun load_saved_run(const SavedRunOptions& options);

// The same as the constructor of nn::Inference; an error about the tensors names the file.
std::unique_ptr<nn::Inference> open_inference(DeviceSession& session,
                                              const SavedRunOptions& options,
                                              const nn::SavedRun& run, const nn::ImageSet& images,
                                              std::vector<std::uint32_t> indices,
                                              std::int64_t batch_size);

}  // namespace vktrain::app
