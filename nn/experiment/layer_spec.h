// The layer types of experiments: which settings each reads, and their text form, the shorthand
// "linear 100 bias=false" or an inline table {type = "linear", out = 100, bias = false}. A new
// layer type is a line in the tables of layer_spec.cpp. Private to nn/experiment.
#pragma once

#include <string>

#include "nn/experiment/codec.h"
#include "nn/experiment/experiment.h"

namespace vktrain::nn {

struct LayerText {
  using Type = LayerSpec;
  static constexpr ValueShape kShape = ValueShape::value;

  std::string expected() const;
  bool valid(const LayerSpec&) const { return true; }  // check_layer says more
  LayerSpec read(const TomlValue& toml) const;
  std::string print(const LayerSpec& layer) const;
};

// Throws UsageError when a setting is out of range or not one of the type's. `subject` names the
// layer in messages.
void check_layer(const LayerSpec& layer, const std::string& subject);

}  // namespace vktrain::nn
