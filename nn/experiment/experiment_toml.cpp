// See experiment_toml.h.
#include "nn/experiment/experiment_toml.h"

#include <fmt/format.h>

#include <algorithm>

#include "nn/experiment/experiment_keys.h"

namespace vktrain::nn {

Experiment parse_experiment(std::string_view toml, std::string_view source_name) {
  const toml::table table = parse_toml(toml, source_name);
  const Experiment experiment = experiment_from(keyed_values(table, source_name));
  try {
    check(experiment);
  } catch (const UsageError& error) {
    if (source_name.empty()) throw;
    throw UsageError(fmt::format("{}: {}", source_name, error.what()));
  }
  return experiment;
}

std::string to_toml(const Experiment& experiment) {
  std::string text;
  std::string section;
  for (const auto& s : experiment_settings()) {
    if (!s.applies(experiment)) continue;
    const std::string value = s.print(experiment);
    if (value.empty()) continue;
    const std::size_t dot = s.name.find('.');
    if (dot != std::string::npos && s.name.substr(0, dot) != section) {
      section = s.name.substr(0, dot);
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    const std::string name = dot == std::string::npos ? s.name : s.name.substr(dot + 1);
    text += fmt::format("{} = {}\n", name, value);
  }
  return text;
}

std::vector<std::string> experiment_keys() {
  std::vector<std::string> names;
  for (const auto& s : experiment_settings()) names.push_back(s.name);
  return names;
}

void set_value(Experiment& experiment, std::string_view key, std::string_view value) {
  const Setting<Experiment>* found = find_setting(experiment_settings(), key);
  if (found == nullptr) throw UsageError(unknown_key(key));
  if (!found->applies(experiment)) {
    throw UsageError(
        fmt::format("{} is set, but {} has no such setting.", key, reader_of(key, experiment)));
  }
  const toml::table parsed = parse_value(value, found->shape, key);
  found->read(experiment, {parsed.get("value"), std::string(key), ""});
  if (key == "optimizer.kind" || key == "optimizer.definition") {
    OptimizerConfig& config = experiment.optimizer;
    OptimizerConfig fresh = default_optimizer(config.kind, config.definition);
    fresh.learning_rate = config.learning_rate;
    fresh.l1 = config.l1;
    fresh.l2 = config.l2;
    config = fresh;
  }
  if (key == "schedule.kind") {
    const ScheduleSpec old = experiment.schedule;
    experiment.schedule = {.kind = old.kind, .warmup_steps = old.warmup_steps};
  }
}

void apply_overrides(Experiment& experiment, std::span<const std::string> overrides) {
  const auto chooses_defaults = [](std::string_view text) {
    return text.starts_with("optimizer.kind=") || text.starts_with("optimizer.definition=") ||
           text.starts_with("schedule.kind=");
  };
  std::vector<std::string_view> ordered(overrides.begin(), overrides.end());
  std::stable_partition(ordered.begin(), ordered.end(), chooses_defaults);
  for (const std::string_view text : ordered) {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      throw UsageError(fmt::format(
          "a setting has the form KEY=VALUE, as optimizer.learning_rate=0.01, but it is \"{}\".",
          text));
    }
    set_value(experiment, text.substr(0, equals), text.substr(equals + 1));
  }
  check(experiment);
}

}  // namespace vktrain::nn
