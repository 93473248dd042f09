// Ends a step: writes its metrics (mean loss, hits, penalty) and advances the step state. One
// workgroup a replica, of a power of two; sums in a fixed tree.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "step_state.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Loss { float loss[]; };
layout(set = 0, binding = 1, std430) readonly buffer Correct { uint correct[]; };
layout(set = 0, binding = 2, std430) readonly buffer Penalty { float penalty[]; };
layout(set = 0, binding = 3, std430) buffer State { StepState state[]; };
layout(set = 0, binding = 4, std430) writeonly buffer Metrics { StepMetrics metrics[]; };

layout(push_constant, std430) uniform Push {
    uint batch;
    uint penalty_parts;  // 0: no penalties
    uint loss_replica;
    uint correct_replica;
    uint penalty_replica;
    uint state_replica;    // in StepState
    uint metrics_replica;  // in StepMetrics
} p;

shared float loss_sums[gl_WorkGroupSize.x];
shared float penalty_sums[gl_WorkGroupSize.x];
shared uint correct_sums[gl_WorkGroupSize.x];

void main() {
    uint lane = gl_LocalInvocationID.x;
    float loss_sum = 0.0;
    float penalty_sum = 0.0;
    uint correct_sum = 0;
    for (uint i = lane; i < p.batch; i += gl_WorkGroupSize.x) {
        loss_sum += loss[replica() * p.loss_replica + i];
        correct_sum += correct[replica() * p.correct_replica + i];
    }
    for (uint i = lane; i < p.penalty_parts; i += gl_WorkGroupSize.x)
        penalty_sum += penalty[replica() * p.penalty_replica + i];
    loss_sums[lane] = loss_sum;
    correct_sums[lane] = correct_sum;
    penalty_sums[lane] = penalty_sum;
    barrier();
    for (uint width = gl_WorkGroupSize.x / 2; width > 0; width /= 2) {
        if (lane < width) {
            loss_sums[lane] += loss_sums[lane + width];
            correct_sums[lane] += correct_sums[lane + width];
            penalty_sums[lane] += penalty_sums[lane + width];
        }
        barrier();
    }
    if (lane == 0) {
        uint mine = replica() * p.state_replica;
        uint slot = replica() * p.metrics_replica + state[mine].step_in_epoch;
        metrics[slot] = StepMetrics(loss_sums[0] / float(p.batch), correct_sums[0], penalty_sums[0], 0);
        state[mine].step += 1;
        state[mine].step_in_epoch += 1;
    }
}
