// The operand x whose rows are images of a data set of bytes, for kernels that read it there instead of
// a batch of floats (nn/ops/gather_batch.h): a texel has four bytes, which its fetch makes numbers from 0
// to 1. After gemm.glsl and PLACES, the slot of x's places.
layout(set = 0, binding = 8 + PLACES) uniform usamplerBuffer places;

// The first texel of a row of x.
uint place(uint row) { return texelFetch(places, int(replica_number * p.places_replica + row)).x; }

vec4 normalized(vec4 bytes) { return fma(bytes, vec4(p.byte_scale), vec4(p.byte_shift)); }
