// The derivative of the activation whose output was pooled, where a fusion put it into the gradient.
#include "activation.glsl"
layout(constant_id = 15) const uint ACTIVATION = 0;
layout(constant_id = 16) const float ALPHA = 1.0;

layout(set = 0, binding = 3, std430) readonly buffer GradientOutput { vec4 gradient_output[]; };

vec4 times_derivative(vec4 gradient, uint index) {
    if (ACTIVATION == ACTIVATION_NONE) return gradient;
    return gradient * activation_derivative(ACTIVATION, gradient_output[index], ALPHA);
}
