// Messages of the validation layer that are no faults of ours, each with its reason.
#pragma once

#include <string_view>

namespace vktrain::testing {

bool is_excepted(std::string_view message);

}  // namespace vktrain::testing
