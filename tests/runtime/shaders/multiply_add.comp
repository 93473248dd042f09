// y[i] = y[i] * factor + x[i]: does not commute, so a missing barrier or a wrong order shows.
#version 450
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint factor = 3;
layout(push_constant) uniform Push { uint count; };
layout(set = 0, binding = 0) readonly buffer X { uint x[]; };
layout(set = 0, binding = 1) buffer Y { uint y[]; };

void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < count) y[i] = y[i] * factor + x[i];
}
