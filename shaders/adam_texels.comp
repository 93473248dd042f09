// See adam.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#define TEXELS
#include "adam.glsl"
