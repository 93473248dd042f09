// What the kernels of the convolutions' "rows" variant share: an invocation holds whole rows of images
// (or tiles of rows) in registers; the rows of a batch are numbered through, and neighbouring
// invocations take neighbouring rows. Made for CPU drivers, where an invocation is a lane of a vector
// unit, a load in a loop is one load per lane, and the subgroup is the workgroup.
//
// A column of the result and a column of the kernel name a column of the source. Where the rows are
// not cut into tiles, all of that is known when the pipeline is made. A row that does not exist is
// read as zeros; branches would cost more, because lavapipe runs both ways of each.

#include "window2d.glsl"

layout(constant_id = 21) const uint MIXED = 0;  // operands are rounded to half floats
#include "half.glsl"

const uint MAX_SPAN = 64;  // columns of source rows, for one row of the kernel
const uint LANES = 8;      // of a workgroup
