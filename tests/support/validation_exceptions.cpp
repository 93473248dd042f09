#include "tests/support/validation_exceptions.h"

#include <algorithm>
#include <array>

namespace vktrain::testing {
namespace {

struct Exception {
  std::string_view id;  // of the message, without the UNASSIGNED- that older layers put before it
  std::string_view reason;
};
constexpr std::array<Exception, 4> kExceptions = {{
    {"BestPractices-vkAllocateMemory-small-allocation",
     "the networks of tests are small; in a training an allocation, which holds all of an arena, "
     "is "
     "megabytes"},
    {"BestPractices-vkBindMemory-small-dedicated-allocation", "the same"},
    {"BestPractices-vkBeginCommandBuffer-simultaneous-use",
     "a step is recorded once and replayed many times in one submission, which saves the host more "
     "than a driver could by knowing that there is one replay"},
    {"BestPractices-vkCreateInstance-specialuse-extension-debugging",
     "only with the layer, whose messages come through that extension"},
}};

}  // namespace

bool is_excepted(std::string_view message) {
  return std::ranges::any_of(kExceptions, [message](const Exception& exception) {
    return message.find(exception.id) != std::string_view::npos;
  });
}

}  // namespace vktrain::testing
