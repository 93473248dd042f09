// C = A^T B in register tiles, and the sums of A's columns (the bias gradient); see
// gemm_shuffle.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#define TEXELS
#include "gemm.glsl"
#include "gemm_epilogue.glsl"
#include "gemm_shuffle_tn.glsl"
