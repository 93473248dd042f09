// C = A^T B, the gradient of weights, and their update by Adagrad, in register tiles; see
// gemm_update.glsl and gemm_shuffle.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#define TEXELS
#define ALONG_ROWS
#include "gemm.glsl"
#define JOINED_SLOTS p.slot_stride
#include "optimizer_values.glsl"
#include "adagrad.glsl"
#include "gemm_update.glsl"
#include "gemm_shuffle_tn.glsl"
