// Interface that the tiled and the depthwise kernels of convolutions share; nn/ops/conv2d_pass.cpp is
// the host's side.
#include "window2d.glsl"

layout(constant_id = 1) const uint BIAS = 0;  // there is one, or a gradient of it to make

// In elements. "in" is the image that the convolution reads (x, dx), "out" the one it makes (y, dy).
layout(push_constant, std430) uniform Push {
    uint batch;
    uint groups;
    uint in_channels;  // of a group
    uint in_height;
    uint in_width;
    uint in_row;  // of an image
    uint in_replica;
    uint out_channels;  // of a group
    uint out_height;
    uint out_width;
    uint out_row;
    uint out_replica;
    uint weight_row;
    uint weight_replica;
    uint bias_replica;
    uint output_replica;
    uint splits;        // of the sum, weight gradient only
    uint per_split;     // terms: pixels (tiled) or images (depthwise)
    uint split_stride;  // between two splits of one replica
    float alpha;
    // Matrix product of a group, tiled only.
    uint m;
    uint n;
    uint k;
    uint m_tiles;
    // MIXED only, of the gradient that a pass reads: see gemm.glsl.
    float scale;
    float unscale;
} p;
