// What the kernels of convolutions with one input channel per group share: there is no sum over
// channels, so that nothing is gained by tiles. The invocations of a workgroup take quads of one
// channel, 4 columns of a row each, of as many images as it takes; the channel and its weights are
// uniform over the workgroup.
#include "conv2d.glsl"

// Four columns of a row of a plane; those at and past the width do not exist.
struct Quad {
    uint image;
    uint row;
    uint column;
};

Quad find_quad(uint item, uint height, uint width) {
    uint per_row = (width + 3) / 4;
    uint row = item / per_row;
    return Quad(row / height, row % height, item % per_row * 4);
}
