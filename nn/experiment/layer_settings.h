// The table of layer settings: which type reads which, with their ranges and text forms. A new
// layer type is a line in the tables of layer_settings.cpp. Private to nn/experiment.
#pragma once

#include <string_view>
#include <vector>

#include "nn/experiment/codec.h"
#include "nn/experiment/experiment.h"

namespace vktrain::nn {

const Named<LayerType>& layer_type_names();

const std::vector<Setting<LayerSpec>>& layer_settings();

// The setting that the shorthand gives without its name; empty if there is none.
std::string_view positional_setting(LayerType type);

}  // namespace vktrain::nn
