// Reads push constants at the very end of 256 bytes, twice of what every device has.
#version 450
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push { uint first; layout(offset = 252) uint last; };
layout(set = 0, binding = 0) writeonly buffer Y { uint y[]; };

void main() { y[gl_GlobalInvocationID.x] = first + last; }
