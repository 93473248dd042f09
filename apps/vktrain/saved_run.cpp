#include "apps/vktrain/saved_run.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "nn/training/trainer.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::app {

void require_folder_of(const std::string& file, std::string_view option) {
  const std::filesystem::path folder = std::filesystem::absolute(path_of(file)).parent_path();
  if (std::filesystem::is_directory(folder)) return;
  throw Error(
      fmt::format("{} needs a folder that exists, but '{}' is none.", option, folder.string()));
}

void add_saved_run_options(CLI::App& command, SavedRunOptions& options) {
  command.add_option("run", options.path, "A run folder, or a safetensors file of parameters")
      ->required();
  command
      .add_option("--config", options.config,
                  "The run's experiment [default: config.toml beside the parameters]")
      ->type_name("C.toml");
  command.add_option("--data", options.data, "Folder of the data set")->type_name("DIR");
}

nn::SavedRun load_saved_run(const SavedRunOptions& options) {
  std::optional<std::filesystem::path> config;
  if (options.config) config = path_of(*options.config);
  nn::SavedRun run = nn::load_run(path_of(options.path), config);
  run.experiment = nn::expand_replicas(run.experiment).front();
  return run;
}

std::unique_ptr<nn::Inference> open_inference(DeviceSession& session,
                                              const SavedRunOptions& options,
                                              const nn::SavedRun& run, const nn::ImageSet& images,
                                              std::vector<std::uint32_t> indices,
                                              std::int64_t batch_size) {
  try {
    return std::make_unique<nn::Inference>(session.device(), run.experiment, run.parameters, images,
                                           std::move(indices), batch_size, session.tuner().get());
  } catch (const DeviceError&) {
    throw;
  } catch (const Error& error) {
    throw Error(fmt::format("'{}' cannot be used: {}", options.path, error.what()));
  }
}

}  // namespace vktrain::app
