// y[i] = the sum of texel i of x: a binding that is read as a texel buffer.
#version 450
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push { uint count; };
layout(set = 0, binding = 8) uniform samplerBuffer x;
layout(set = 0, binding = 1) writeonly buffer Y { float y[]; };

void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i >= count) return;
  const vec4 texel = texelFetch(x, int(i));
  y[i] = (texel.x + texel.y) + (texel.z + texel.w);
}
