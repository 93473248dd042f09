// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011); the same
// bits as philox4x32 of nn/rng.h.
uvec4 philox4x32(uvec4 counter, uvec2 key) {
    for (int round = 0; round < 10; ++round) {
        uint high0, low0, high1, low1;
        umulExtended(0xD2511F53u, counter.x, high0, low0);
        umulExtended(0xCD9E8D57u, counter.z, high1, low1);
        counter = uvec4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

// Which of the four elements `index` dropout keeps, each with the probability 1 - `probability`. The
// last word, RandomUse::dropout, keeps the stream apart from the others of nn/rng.h.
bvec4 dropout_keeps(uint index, uint step, uint slot, uvec2 seed, float probability) {
    uvec4 random = philox4x32(uvec4(index, step, slot, 3), seed);
    return greaterThanEqual(vec4(random >> 8) * 5.9604644775390625e-8, vec4(probability));
}
