// The derivative of the activation whose output was pooled, where a fusion put it into the gradient.
#include "activation.glsl"
layout(constant_id = 15) const uint ACTIVATION = 0;
layout(constant_id = 16) const float ALPHA = 1.0;

#ifdef TEXELS
layout(set = 0, binding = 11) uniform samplerBuffer output_texels;
vec4 load_output(uint i) { return texelFetch(output_texels, int(i)); }
#else
layout(set = 0, binding = 3, std430) readonly buffer GradientOutput { vec4 gradient_output[]; };
vec4 load_output(uint i) { return gradient_output[i]; }
#endif

vec4 times_derivative(vec4 gradient, uint index) {
    if (ACTIVATION == ACTIVATION_NONE) return gradient;
    return gradient * activation_derivative(ACTIVATION, load_output(index), ALPHA);
}
