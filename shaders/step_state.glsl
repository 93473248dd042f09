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

// x: learning rate, y: 1 - beta1^t, z: sqrt(1 - beta2^t)
#define StepTableEntry vec4

struct StepMetrics {
    float loss;
    uint correct;
    float penalty;
    uint reserved;
};
