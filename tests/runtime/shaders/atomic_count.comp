// total += number of x: an atomic on one binding, only the length of the other, and a gap between.
#version 450
layout(local_size_x = 1) in;
layout(set = 0, binding = 0) readonly buffer X { uint x[]; };
layout(set = 0, binding = 2) buffer Total { uint total; };

void main() { atomicAdd(total, uint(x.length())); }
