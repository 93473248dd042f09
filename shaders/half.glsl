// Operands in half precision, where the including kernel's specialization constant MIXED says so.
// Rounding is to nearest, ties to even, on every driver (what packHalf2x16 rounds to is the driver's
// choice). Magnitudes past the largest half float, 65504, become that; infinities and NaN stay.

vec4 to_half(vec4 value) {
    const float LARGEST = 65504.0;
    const float LEAST_NORMAL = 1.0 / 16384.0;
    const float SUBNORMALS = 16777216.0;  // below that, multiples of 2^-24
    uvec4 bits = floatBitsToUint(value);
    vec4 normal = uintBitsToFloat((bits + 0xfffu + ((bits >> 13) & 1u)) & ~0x1fffu);
    vec4 small = roundEven(value * SUBNORMALS) * (1.0 / SUBNORMALS);
    vec4 rounded = mix(clamp(normal, -LARGEST, LARGEST), small,
                       lessThan(abs(value), vec4(LEAST_NORMAL)));
    return mix(value, rounded, lessThanEqual(abs(value), vec4(3.4028235e38)));
}

// What a kernel multiplies, of what it has read; `scale` is a power of two.
vec4 operand(vec4 value, float scale) { return MIXED != 0 ? to_half(value * scale) : value; }
float operand(float value, float scale) {
    return MIXED != 0 ? to_half(vec4(value * scale)).x : value;
}
