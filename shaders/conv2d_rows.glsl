// What the kernels of the convolutions' "rows" variant share: one invocation takes one image and
// works on whole rows (or tiles of rows) in registers; the invocations of a workgroup take
// neighbouring images, so that every index but the image's is uniform. Made for CPU drivers, where an
// invocation is a lane of a vector unit.
//
// A column of the result and a column of the kernel name a column of the source. Where the rows are
// not cut into tiles, all of that is known when the pipeline is made.

#include "window2d.glsl"

const uint MAX_SPAN = 64;  // columns of a source row that an invocation holds
