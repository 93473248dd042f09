// The statistics of the four columns of an invocation. Training: the batch's mean as the sum of two
// floats and 1 / sqrt(var + epsilon); evaluation: the running mean and variance. Include
// plane_walk.glsl and texels.glsl before.
layout(constant_id = 2) const uint TRAINING = 1;

READ_FLOAT(0, mean)
READ_FLOAT(1, scale)

struct Normalisation {
    Planes planes;
    uint mean_replica;  // in floats
    uint scale_replica;
    float epsilon;
};

struct Statistics {
    vec4 mean;
    vec4 rest;
    vec4 inv_std;
};

Statistics load_statistics(Normalisation n, uvec4 channel) {
    uint mean_at = replica() * n.mean_replica;
    vec4 m = OF_CHANNELS(mean, mean_at, channel);
    vec4 s = OF_CHANNELS(scale, replica() * n.scale_replica, channel);
    if (TRAINING == 0) return Statistics(m, vec4(0.0), inversesqrt(s + n.epsilon));
    uint rest_at = mean_at + (n.planes.channels + 3) / 4 * 4;
    return Statistics(m, OF_CHANNELS(mean, rest_at, channel), s);
}

// x - mean; the order matters where the mean is large.
vec4 centre(vec4 x, Statistics s) {
    precise vec4 centred = (x - s.mean) - s.rest;
    return centred;
}
