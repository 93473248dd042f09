// y[i] = x[i] + addend for i < count; the simplest kernel with all of the interface: a workgroup
// size and a value as specialization constants, a push constant, two bindings.
#version 450
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint addend = 1;
layout(push_constant) uniform Push { uint count; };
layout(set = 0, binding = 0) readonly buffer X { uint x[]; };
layout(set = 0, binding = 1) writeonly buffer Y { uint y[]; };

void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < count) y[i] = x[i] + addend;
}
