// What the submissions that have not ended use, so that the layer can tell what is destroyed, reset
// or written too early. Vulkan specification, "Object Lifetime" and "Fences": a fence that is
// signalled says that everything has ended that was submitted to its queue until then.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace vktrain::testing {

// All functions may be called from any thread.
class UseTracker {
 public:
  using Object = std::pair<std::string_view, std::uint64_t>;  // type, a literal, and handle

  // What uses `user` uses `used`, too: a descriptor set its buffers, a buffer its memory.
  void add(const Object& user, const Object& used);
  // The object is gone, or its handle is a new one's.
  void forget(const Object& user);
  // What was recorded into command buffers of the pool is gone.
  void reset(const Object& pool);

  // `device` is what key_of tells of the device and of its queue.
  void submit(const void* device, std::uint64_t fence, std::span<const Object> command_buffers);
  void end(const void* device, std::uint64_t fence);
  void end_all(const void* device);
  bool in_use(const Object& object) const;

 private:
  struct Submission {
    const void* device;
    std::uint64_t fence;
    std::set<Object> objects;
  };

  mutable std::mutex mutex_;
  std::map<Object, std::set<Object>> uses_;
  std::vector<Submission> submissions_;  // those that have not ended, in the order of submission
};

}  // namespace vktrain::testing
