// The text form of an experiment. Every key is typed and range-checked; an unknown key, layer,
// optimizer or initialiser is answered with the line and the nearest known name.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/experiment/experiment.h"

namespace vktrain::nn {

// Reads one experiment and checks it (see `check`). `source_name` is the file's name, for messages.
// Throws UsageError.
Experiment parse_experiment(std::string_view toml, std::string_view source_name);

// The resolved config, with every key that the experiment's kinds of layers and optimizer read:
// parse_experiment(to_toml(e), "") == e for every experiment that `check` accepts.
std::string to_toml(const Experiment& experiment);

// Sets the value at a dotted key ("optimizer.learning_rate") from text as TOML has it; quotes
// around a string may be left out. Setting optimizer.kind or optimizer.definition gives the other
// optimizer settings their defaults, except the learning rate and the penalties; schedule.kind the
// other schedule settings, except the warm-up. Throws UsageError for an unknown key or a bad value;
// the caller calls `check` after the last change.
void set_value(Experiment& experiment, std::string_view key, std::string_view value);

// Applies "key=value" texts, whatever their order (those that choose the optimizer and the schedule
// before their settings), and checks the result.
void apply_overrides(Experiment& experiment, std::span<const std::string> overrides);

// Every dotted key, in the order of the text.
std::vector<std::string> experiment_keys();

// Text forms of the names in experiments.
std::string_view name_of(OptimizerKind kind);
std::string to_string(const Initializer& initializer);  // "xavier_normal", "normal:0.01"
Initializer parse_initializer(std::string_view text);   // throws UsageError

}  // namespace vktrain::nn
