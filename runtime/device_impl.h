// What a Device is made of. Private to the runtime room.
#pragma once

#include <memory>

#include "runtime/device.h"
#include "runtime/kernel.h"
#include "runtime/logical_device.h"
#include "runtime/pipeline_store.h"
#include "runtime/transfer.h"
#include "runtime/vulkan_loader.h"

namespace vktrain::runtime {

// Members are destroyed from the last to the first.
struct Device::Impl {
  explicit Impl(const DeviceOptions& options);

  // Not made when the device is opened: a device that only compiles kernels needs no queue.
  Transfer& transfers() {
    if (!transfer) transfer = std::make_unique<Transfer>(*logical);
    return *transfer;
  }

  Instance instance;
  DeviceProfile profile;
  std::unique_ptr<LogicalDevice> logical;
  OwnedSetLayout set_layout;            // kMaxBindings storage buffers and texel buffers
  OwnedPipelineLayout pipeline_layout;  // set_layout and kMaxPushBytes
  std::unique_ptr<PipelineStore> pipelines;
  std::unique_ptr<Transfer> transfer;  // made on first use by `transfers`
  std::unique_ptr<KernelCache> kernels;
};

}  // namespace vktrain::runtime
