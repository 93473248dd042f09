// An array of vec4, or of floats, that a kernel reads and does not write, as load_NAME(i): from the
// storage buffer at binding `slot`, or with TEXELS defined from its texel buffer, at 8 + slot. A
// NAME_texels is compiled from NAME.comp with TEXELS defined (shaders/CMakeLists.txt); nn/lowering.h,
// by_texels, says which of the two is taken.
#ifdef TEXELS
#define READ_VEC4(slot, name)                                              \
    layout(set = 0, binding = 8 + slot) uniform samplerBuffer name##_texels; \
    vec4 load_##name(uint i) { return texelFetch(name##_texels, int(i)); }
#define READ_FLOAT(slot, name)                                               \
    layout(set = 0, binding = 8 + slot) uniform samplerBuffer name##_texels; \
    float load_##name(uint i) { return texelFetch(name##_texels, int(i)).x; }
#else
#define READ_VEC4(slot, name)                                                              \
    layout(set = 0, binding = slot, std430) readonly buffer name##_buffer { vec4 name[]; }; \
    vec4 load_##name(uint i) { return name[i]; }
#define READ_FLOAT(slot, name)                                                               \
    layout(set = 0, binding = slot, std430) readonly buffer name##_buffer { float name[]; }; \
    float load_##name(uint i) { return name[i]; }
#endif
