// Adagrad, for the whole range of parameters or a part of it; see optimizer.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "optimizer.glsl"
#include "adagrad.glsl"
