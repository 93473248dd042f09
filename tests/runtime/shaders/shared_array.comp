// Shared memory whose size is computed from specialization constants: 2 * ROWS * (COLUMNS / 4 + 1)
// vec4, and 16 bytes of other variables.
#version 450
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint ROWS = 4;
layout(constant_id = 2) const uint COLUMNS = 16;
layout(push_constant) uniform Push { uint count; };
layout(set = 0, binding = 0) writeonly buffer Y { vec4 y[]; };

const uint STRIDE = COLUMNS / 4 + 1;
shared vec4 tile[2 * ROWS * STRIDE];
shared struct { uint a; vec2 b; } others;

void main() {
  const uint i = gl_LocalInvocationIndex;
  tile[i] = vec4(i);
  if (i == 0) {
    others.a = count;
    others.b = vec2(1);
  }
  barrier();
  y[i] = tile[i] + vec4(others.a, others.b, 0);
}
