// The table of an experiment's keys: one line per key serves reading, printing, --set and checks.
// Private to nn/experiment.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nn/experiment/codec.h"
#include "nn/experiment/experiment.h"

namespace vktrain::nn {

// In the order of the text; names are dotted, "optimizer.learning_rate".
const std::vector<Setting<Experiment>>& experiment_settings();

// Who reads the settings of a key's section, for messages: "the optimizer sgd", "the schedule
// step".
std::string reader_of(std::string_view key, const Experiment& experiment);

// An experiment whose optimizer is `kind` as `definition` has it, everything else by default.
Experiment default_experiment(OptimizerKind kind, OptimizerDefinition definition);

// Values by dotted key; where they came from travels with them.
using KeyedValues = std::map<std::string, TomlValue, std::less<>>;

// The keys of a table and of its sections, as dotted keys; each must be known. Throws UsageError
// with the line and the nearest key.
KeyedValues keyed_values(const toml::table& table, std::string_view source);

// Why a dotted key that is not known is refused, as a sentence: with the key that was probably
// meant, or with all keys of its section.
std::string unknown_key(std::string_view key);

// An experiment from these values over the defaults (those of the optimizer's kind and definition
// where the values give one); not yet checked as a whole.
Experiment experiment_from(const KeyedValues& values);

}  // namespace vktrain::nn
