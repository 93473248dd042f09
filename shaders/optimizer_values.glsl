// What an optimizer's update of weights reads and writes, at bindings 2 to 7: the weights, the step's
// numbers and the slots of state. Slots that a variant does not use are bound to the weights. With
// TEXELS what is read of arrays is read as texels (nn/lowering.h: reads_texels). With JOINED_SLOTS slot
// 1 lies JOINED_SLOTS vec4 behind slot 0 in the same binding, and binding 7 is free.
#include "step_state.glsl"
#include "texels.glsl"

layout(std430, set = 0, binding = 2) buffer Parameters { vec4 parameters[]; };
layout(std430, set = 0, binding = 5) readonly buffer State { StepState step_state; };
layout(std430, set = 0, binding = 6) buffer Slot0 { vec4 slot0[]; };
#ifndef JOINED_SLOTS
layout(std430, set = 0, binding = 7) buffer Slot1 { vec4 slot1[]; };
#endif

// An invocation alone reads and writes its vec4, and reads them before: both ways to read are right.
#ifdef TEXELS
layout(set = 0, binding = 10) uniform samplerBuffer parameter_texels;
layout(set = 0, binding = 11) uniform samplerBuffer table_texels;
layout(set = 0, binding = 12) uniform samplerBuffer hyper_texels;
layout(set = 0, binding = 14) uniform samplerBuffer slot0_texels;
vec4 load_parameters(uint i) { return texelFetch(parameter_texels, int(i)); }
vec4 load_slot0(uint i) { return texelFetch(slot0_texels, int(i)); }
#ifdef JOINED_SLOTS
vec4 load_slot1(uint i) { return load_slot0(i + JOINED_SLOTS); }
#else
layout(set = 0, binding = 15) uniform samplerBuffer slot1_texels;
vec4 load_slot1(uint i) { return texelFetch(slot1_texels, int(i)); }
#endif
StepTableEntry load_entry(uint i) { return texelFetch(table_texels, int(i)); }
Hyperparameters load_hyper(uint i) {
    int first = int(i * HYPERPARAMETER_TEXELS);
    return of_texels(texelFetch(hyper_texels, first), texelFetch(hyper_texels, first + 1),
                     texelFetch(hyper_texels, first + 2));
}
#else
layout(std430, set = 0, binding = 3) readonly buffer Table { StepTableEntry step_table[]; };
layout(std430, set = 0, binding = 4) readonly buffer Hyper { Hyperparameters hyperparameters[]; };
vec4 load_parameters(uint i) { return parameters[i]; }
vec4 load_slot0(uint i) { return slot0[i]; }
vec4 load_slot1(uint i) { return slot1[i]; }
StepTableEntry load_entry(uint i) { return step_table[i]; }
Hyperparameters load_hyper(uint i) { return hyperparameters[i]; }
#endif

void store_slot0(uint i, vec4 value) { slot0[i] = value; }
void store_slot1(uint i, vec4 value) {
#ifdef JOINED_SLOTS
    slot0[i + JOINED_SLOTS] = value;
#else
    slot1[i] = value;
#endif
}

StepTableEntry entry;  // x: learning rate, y: 1 - beta1^t, z: sqrt(1 - beta2^t)
Hyperparameters hyper;

// Strides between replicas, in entries and in blocks.
void read_step(uint replica_number, uint table_stride, uint hyperparameter_stride) {
    entry = load_entry(replica_number * table_stride + step_state.step_in_epoch);
    hyper = load_hyper(replica_number * hyperparameter_stride);
}
