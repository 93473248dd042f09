// The device's rate of multiply-adds: independent chains x <- fma(x, factor, addend) in registers,
// without memory but for one vec4 an invocation at the end. Constant 1 chooses the number of chains
// of vec4, constant 2 whether the loop's body is long: which is fastest is the driver's affair.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(constant_id = 1) const uint kChains = 4;      // 1 to 4 (of vec4)
layout(constant_id = 2) const bool kLongBody = true;  // 64 steps a turn instead of 16

layout(set = 0, binding = 0, std430) writeonly buffer Result { vec4 result[]; };

layout(push_constant, std430) uniform Push {
    uint turns;
    float factor;
    float addend;
} p;

#define STEP1 a = fma(a, vec4(p.factor), vec4(p.addend));
#define STEP2 STEP1 b = fma(b, vec4(p.factor), vec4(p.addend));
#define STEP3 STEP2 c = fma(c, vec4(p.factor), vec4(p.addend));
#define STEP4 STEP3 d = fma(d, vec4(p.factor), vec4(p.addend));
#define TIMES4(S) S S S S
#define TIMES16(S) TIMES4(TIMES4(S))
#define TIMES64(S) TIMES4(TIMES16(S))
#define LOOP(BODY) for (uint i = 0; i < p.turns; ++i) { BODY }
#define RUN(S) if (kLongBody) { LOOP(TIMES64(S)) } else { LOOP(TIMES16(S)) }

void main() {
    // Every chain starts elsewhere, so that none can stand for another.
    float start = float(gl_LocalInvocationID.x);
    vec4 a = start + vec4(0, 1, 2, 3), b = a + 4, c = a + 8, d = a + 12;
    if (kChains == 1) { RUN(STEP1) }
    if (kChains == 2) { RUN(STEP2) }
    if (kChains == 3) { RUN(STEP3) }
    if (kChains == 4) { RUN(STEP4) }
    result[item_index()] = a + b + c + d;
}
