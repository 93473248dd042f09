// C = A B in register tiles; see gemm_shuffle.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#define TEXELS
#include "gemm.glsl"
#include "gemm_epilogue.glsl"
const bool A_ALONG_K = true;
const bool B_ALONG_K = false;
#include "gemm_shuffle.glsl"
#include "gemm_shuffle_product.glsl"
