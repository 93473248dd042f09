#include "runtime/driver_quirks.h"

#include <algorithm>
#include <array>

namespace vktrain::runtime {
namespace {

// llvmpipe's counter of turns (LP_MAX_TGSI_LOOP_ITERATIONS) is set once for each invocation. On
// Mesa 22.3.6, after a loop of 40,000 turns a second one ended after 25,534: the turn that finds
// the first loop's end counts, too. The turns of nested loops count in the same way; those of loops
// that were unrolled do not. Once it is spent, every further loop ends after its first turn.
constexpr std::array kQuirks = {
    DriverQuirk{"llvmpipe",
                "kernels compile in their first dispatch, and the pipeline cache does not keep "
                "them: nothing is measured before it ran once; the loops of an invocation end "
                "after 65,535 turns together: longer sums are split",
                65535},
    DriverQuirk{"SwiftShader driver", "a kernel with many branches takes seconds to compile"},
};

}  // namespace

DriverQuirk quirk_of(std::string_view driver) {
  const auto* const quirk = std::ranges::find(kQuirks, driver, &DriverQuirk::driver);
  return quirk == kQuirks.end() ? DriverQuirk{} : *quirk;
}

}  // namespace vktrain::runtime
