// The objects that a submission reaches from its command buffers.
#include "tests/layer/fault_uses.h"

#include <algorithm>

namespace vktrain::testing {

void UseTracker::add(const Object& user, const Object& used) {
  const std::lock_guard lock(mutex_);
  if (used.second != 0) uses_[user].insert(used);
}

void UseTracker::forget(const Object& user) {
  const std::lock_guard lock(mutex_);
  uses_.erase(user);
}

void UseTracker::reset(const Object& pool) {
  const std::lock_guard lock(mutex_);
  for (auto& [user, used] : uses_) {
    if (used.contains(pool)) used = {pool};
  }
}

void UseTracker::submit(const void* device, std::uint64_t fence,
                        std::span<const Object> command_buffers) {
  const std::lock_guard lock(mutex_);
  Submission submission{device, fence, {}};
  std::vector<Object> open(command_buffers.begin(), command_buffers.end());
  open.emplace_back("VkFence", fence);
  while (!open.empty()) {
    const Object object = open.back();
    open.pop_back();
    if (!submission.objects.insert(object).second) continue;
    if (const auto used = uses_.find(object); used != uses_.end()) {
      open.insert(open.end(), used->second.begin(), used->second.end());
    }
  }
  submissions_.push_back(std::move(submission));
}

void UseTracker::end(const void* device, std::uint64_t fence) {
  const std::lock_guard lock(mutex_);
  const auto last = std::ranges::find_if(submissions_, [=](const Submission& submission) {
    return submission.device == device && submission.fence == fence;
  });
  if (last == submissions_.end()) return;
  const auto kept = std::remove_if(submissions_.begin(), last + 1, [=](const Submission& earlier) {
    return earlier.device == device;
  });
  submissions_.erase(kept, last + 1);
}

void UseTracker::end_all(const void* device) {
  const std::lock_guard lock(mutex_);
  std::erase_if(submissions_,
                [=](const Submission& submission) { return submission.device == device; });
}

bool UseTracker::in_use(const Object& object) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(submissions_, [&](const Submission& submission) {
    return submission.objects.contains(object);
  });
}

}  // namespace vktrain::testing
