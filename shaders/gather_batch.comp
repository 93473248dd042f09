// Makes a batch from the data set on the device: picks the step's images and labels by index and
// normalises the bytes. One invocation moves 16 pixels. With AUGMENT every image is shifted, cropped
// and mirrored at random (see nn/ops/gather_batch.h).
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "philox.glsl"
#include "step_state.glsl"
layout(constant_id = 1) const bool AUGMENT = false;
// Neighbouring invocations take neighbouring images instead of neighbouring pixels.
layout(constant_id = 2) const bool ACROSS_IMAGES = false;

layout(set = 0, binding = 0, std430) readonly buffer Images { uint images[]; };  // 4 bytes a word
layout(set = 0, binding = 0, std430) readonly buffer Images4 { uvec4 images4[]; };
layout(set = 0, binding = 1, std430) readonly buffer Labels { uint labels[]; };
layout(set = 0, binding = 2, std430) readonly buffer Indices { uint indices[]; };
layout(set = 0, binding = 3, std430) readonly buffer State { StepState state[]; };
layout(set = 0, binding = 4, std430) writeonly buffer X { vec4 x[]; };
layout(set = 0, binding = 5, std430) writeonly buffer BatchLabels { uint batch_labels[]; };

layout(set = 0, binding = 6, std430) readonly buffer Hyper { Hyperparameters hyperparameters[]; };

layout(push_constant, std430) uniform Push {
    uint batch;
    uint row_words;      // of an image and of x, in words and vec4
    uint image_stride;   // words, a multiple of 4
    uint batch_stride;   // indices between the first of two steps
    uint index_replica;
    uint state_replica;  // in StepState
    uint x_replica;      // vec4
    uint label_replica;
    float scale;         // x = byte * scale + shift
    float shift;
    // For AUGMENT.
    uint channels;
    uint height;
    uint width;
    float flip;         // probability
    uint max_shift;     // pixels
    uint crop_padding;  // pixels
    uint hyperparameters_replica;  // in entries
} p;

// Evenly from -limit to limit.
ivec2 offsets(uvec2 words, uint limit) {
    uvec2 high, low;
    umulExtended(words, uvec2(2 * limit + 1), high, low);
    return ivec2(high) - int(limit);
}

bool inside(ivec2 pixel) {
    return all(greaterThanEqual(pixel, ivec2(0))) && all(lessThan(pixel, ivec2(p.height, p.width)));
}

// One image's random changes; vectors are (row, column).
struct Transform {
    bool flip;
    ivec2 shift;
    ivec2 crop;
};

// The third word tells the two draws apart, the last, RandomUse::augmentation, this stream from the
// others of nn/rng.h.
Transform draw(uint position, uint step) {
    uint entry = replica() * p.hyperparameters_replica;
    uvec2 seed = uvec2(hyperparameters[entry].seed_low, hyperparameters[entry].seed_high);
    uvec4 first = philox4x32(uvec4(position, step, 0, 4), seed);
    uvec4 second = uvec4(0);
    if (p.crop_padding > 0) second = philox4x32(uvec4(position, step, 1, 4), seed);
    return Transform(float(first.x >> 8) * 5.9604644775390625e-8 < p.flip,
                     offsets(first.yz, p.max_shift), offsets(second.xy, p.crop_padding));
}

// The byte of one element of the changed image: backwards through mirror, crop and shift.
uint augmented_byte(uint image, uint element, Transform transform) {
    uint plane = p.height * p.width;
    uint channel = element / plane;
    if (channel >= p.channels) return 0;
    ivec2 pixel = ivec2(element % plane / p.width, element % p.width);
    if (transform.flip) pixel.y = int(p.width) - 1 - pixel.y;
    pixel += transform.crop;
    if (!inside(pixel)) return 0;
    pixel -= transform.shift;
    if (!inside(pixel)) return 0;
    uint place = channel * plane + uint(pixel.x) * p.width + uint(pixel.y);
    return images[image * p.image_stride + place / 4] >> (8 * (place % 4)) & 255u;
}

const uint WORDS = 4;  // of an invocation

void main() {
    uint parts = (p.row_words + WORDS - 1) / WORDS;
    uint item = item_index();
    if (item >= p.batch * parts) return;
    uint row = ACROSS_IMAGES ? item % p.batch : item / parts;
    uint first = (ACROSS_IMAGES ? item / p.batch : item % parts) * WORDS;
    uint step = state[replica() * p.state_replica].step_in_epoch;
    uint image = indices[replica() * p.index_replica + step * p.batch_stride + row];
    uint target = replica() * p.x_replica + row * p.row_words;
    Transform transform;
    uvec4 words = uvec4(0);
    if (AUGMENT) {
        transform = draw(row, state[replica() * p.state_replica].step);
    } else {
        words = images4[(image * p.image_stride + first) / 4];
    }
    [[unroll]] for (uint i = 0; i < WORDS; ++i) {
        uint word = first + i;
        uvec4 pixels = (uvec4(words[i]) >> uvec4(0, 8, 16, 24)) & 255u;
        if (AUGMENT) {
            for (uint j = 0; j < 4; ++j) pixels[j] = augmented_byte(image, word * 4 + j, transform);
        }
        if (word < p.row_words) x[target + word] = fma(vec4(pixels), vec4(p.scale), vec4(p.shift));
    }
    if (first == 0) batch_labels[replica() * p.label_replica + row] = labels[image];
}
