// y[i] = sum over 7 inputs: uses all eight bindings. The bool and the float constants show how they
// are passed.
#version 450
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 3) const bool negate = false;
layout(constant_id = 4) const float scale = 1.0;
layout(set = 0, binding = 0) readonly buffer A { float a[]; };
layout(set = 0, binding = 1) readonly buffer B { float b[]; };
layout(set = 0, binding = 2) readonly buffer C { float c[]; };
layout(set = 0, binding = 3) readonly buffer D { float d[]; };
layout(set = 0, binding = 4) readonly buffer E { float e[]; };
layout(set = 0, binding = 5) readonly buffer F { float f[]; };
layout(set = 0, binding = 6) readonly buffer G { float g[]; };
layout(set = 0, binding = 7) writeonly buffer Y { float y[]; };

void main() {
  const uvec3 size = gl_NumWorkGroups * gl_WorkGroupSize;
  const uvec3 at = gl_GlobalInvocationID;
  const uint i = (at.z * size.y + at.y) * size.x + at.x;
  const float sum = a[i] + b[i] + c[i] + d[i] + e[i] + f[i] + g[i];
  y[i] = scale * (negate ? -sum : sum);
}
