// Layouts of nn/ops/step_state.h. Each block is read as an array of words at the replica's base.

struct StepState {
    uint step;
    uint step_in_epoch;
    uint reserved0;
    uint reserved1;
};

struct Hyperparameters {
    uint seed_low;
    uint seed_high;
    float weight_decay;
    float l1;
    float l2;
    float momentum;
    float dampening;
    float beta1;
    float beta2;
    float one_minus_beta1;
    float one_minus_beta2;
    float epsilon;
    float reserved[4];
    float dropout[16];
};

// What optimizers need of them, of the first three of a block's 8 texels.
Hyperparameters of_texels(vec4 first, vec4 second, vec4 third) {
    Hyperparameters h;
    h.weight_decay = first.z;
    h.l1 = first.w;
    h.l2 = second.x;
    h.momentum = second.y;
    h.dampening = second.z;
    h.beta1 = second.w;
    h.beta2 = third.x;
    h.one_minus_beta1 = third.y;
    h.one_minus_beta2 = third.z;
    h.epsilon = third.w;
    return h;
}
const uint HYPERPARAMETER_TEXELS = 8;

// x: learning rate, y: 1 - beta1^t, z: sqrt(1 - beta2^t)
#define StepTableEntry vec4

struct StepMetrics {
    float loss;
    uint correct;
    float penalty;
    uint reserved;
};
