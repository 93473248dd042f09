// What a Kernel is made of. Private to the runtime room.
#pragma once

#include "runtime/kernel.h"
#include "runtime/logical_device.h"
#include "runtime/shader_interface.h"

namespace vktrain::runtime {

struct Kernel::Impl {
  OwnedPipeline pipeline;
  ShaderInterface interface;
};

}  // namespace vktrain::runtime
