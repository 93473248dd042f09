// See max_pool2d_tiles_backward.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "max_pool2d_tiles_backward.glsl"
