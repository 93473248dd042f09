// How far a kernel's result may be from the double-precision reference. Strict f32 arithmetic in
// any order of summation stays within these bounds; one product too few or too many does not.
//
// |device - reference| <= 2^-24 (relative * |reference| + absolute): `relative` counts units of
// rounding, `absolute` is the size of the terms that cancel in a sum, times the units for them.
//
// The same as a number of ULP: the magnitude that the result can honestly have is
// |reference| + absolute / relative, one ULP is 2^-23 of it (the spacing of f32 at 1), and the
// limit is relative / 2 of them.
#pragma once

#include <vector>

#include "nn/operation.h"
#include "nn/reference/reference_memory.h"

namespace vktrain::nn {

struct Tolerance {
  double relative = 4;
  double absolute = 0;

  double limit_ulp() const { return relative / 2; }
};

// Of one output of an operation whose operands are in `memory`. Integers must be equal.
Tolerance tolerance_of(const Operation& operation, ValueId output, const ReferenceMemory& memory);

// An optimizer's, or a product's that updates its weights.
bool updates_weights(const Operation& operation);

double largest(const std::vector<double>& values);  // largest magnitude

}  // namespace vktrain::nn
