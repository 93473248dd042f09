// Text form of initialisers: "pytorch_default", "xavier_normal", "zeros", "normal:0.01", ...
// Private to nn/experiment.
#pragma once

#include <string>

#include "nn/experiment/codec.h"
#include "nn/initializers/initializer.h"

namespace vktrain::nn {

struct InitializerText {
  using Type = Initializer;
  static constexpr ValueShape kShape = ValueShape::text;

  std::string expected() const;
  bool valid(const Initializer& value) const;
  Initializer read(const TomlValue& toml) const;
  std::string print(const Initializer& value) const;
};

}  // namespace vktrain::nn
