// The text form of layers: the shorthand "linear 100 bias=false" or a table {type = "linear",
// out = 100, bias = false}. layer_settings.h has the settings. Private to nn/experiment.
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
