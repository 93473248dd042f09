// The derivative of the activation whose output was pooled, where a fusion put it into the gradient.
#include "activation.glsl"
#include "texels.glsl"
layout(constant_id = 15) const uint ACTIVATION = 0;
layout(constant_id = 16) const float ALPHA = 1.0;

READ_VEC4(3, gradient_output)

vec4 times_derivative(vec4 gradient, uint index) {
    if (ACTIVATION == ACTIVATION_NONE) return gradient;
    return gradient * activation_derivative(ACTIVATION, load_gradient_output(index), ALPHA);
}
