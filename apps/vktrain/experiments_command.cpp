#include "apps/vktrain/experiments_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/vktrain/experiments.h"
#include "apps/vktrain/text.h"
#include "nn/experiment/experiment_toml.h"

namespace vktrain::app {

void list_experiments(Console& console) {
  TextTable table({{"experiment"},
                   {"parameters", Align::right},
                   {"optimizer"},
                   {"learning rate", Align::right},
                   {"epochs", Align::right},
                   {"batch", Align::right},
                   {"reported test accuracy", Align::right}});
  const nn::ExperimentLibrary library = built_in_experiments();
  for (const std::string& id : library.ids()) {
    const nn::Experiment& experiment = library.find(id);
    const auto& accuracy = experiment.reported.test_accuracy;
    table.add_row({id, grouped(nn::parameter_count(experiment)),
                   std::string(nn::name_of(experiment.optimizer.kind)),
                   fmt::format("{}", experiment.optimizer.learning_rate),
                   std::to_string(experiment.training.epochs),
                   std::to_string(experiment.training.batch_size),
                   accuracy ? fmt::format("{:.4f}", *accuracy) : "-"});
  }
  console.out << table.text();
}

void add_experiments_command(CLI::App& app, Console& console) {
  auto id = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("experiments", "List the built-in experiments, or show one's config");
  command->alias("list");
  command->add_option("experiment", *id, "Print this experiment's complete config");
  command->callback([id, &console] {
    if (id->empty()) return list_experiments(console);
    console.out << nn::to_toml(resolve_experiment(*id));
  });
}

}  // namespace vktrain::app
