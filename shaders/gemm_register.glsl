// What the register kernels share: the rows of C that an invocation makes, and how they read the
// operands.
const uint ROWS = 16;

vec4 load_a(uint i) { return operand_a(a[i]); }
vec4 load_b(uint i) { return operand_b(b[i]); }
