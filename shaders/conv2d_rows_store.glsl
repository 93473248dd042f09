// Results of shaders/conv2d_rows.comp, from sums to memory.

// Of row `r`, channel `o` from `column` on, with bias and activation. Values past the last column mean
// nothing.
vec4 results(uint o, uint r, uint column) {
    vec4 value = vec4(0.0);
    [[unroll]] for (uint part = 0; part < 4; ++part) {
        if (column + part < COLUMNS) value[part] = sum[(o * ROWS + r) * COLUMNS + column + part];
    }
    if (MIXED != 0) value *= p.unscale;
    return activate(ACTIVATION, value + channel_bias[o], p.alpha);
}

// The first `count` of four columns of a row of results, in stores as wide as such rows allow.
void store(uint at, vec4 value, int count) {
    [[unroll]] for (uint part = 0; part < 4; ++part) {
        bool exists = int(part) < count;
        if (exists && STORE == 1) result1[at + part] = value[part];
        if (exists && STORE == 2 && part % 2 == 1)
            result2[(at + part) / 2] = part == 1 ? value.xy : value.zw;
    }
    if (STORE == 4) result4[at / 4] = value;
}

// Padding behind the last plane stays finite. `elements`: of an image of the result.
void pad(uint r, uint group, uint channel0, uint elements) {
    bool last = row_exists[r] && group + 1 == p.groups && channel0 + CHANNELS >= p.result_channels &&
                row[r] + 1 == p.result_height && column0[r] + COLUMNS >= RESULT_WIDTH;
    uint end = replica() * p.result_replica + image[r] * p.result_row + elements;
    [[unroll]] for (uint k = 0; k < 3; ++k) {
        if (last && elements + k < p.result_row) result1[end + k] = 0.0;
    }
}

// The activation's outputs at `at`, of a quad of columns from `column` on; where there is no such
// column the value is not stored.
vec4 activation_outputs(uint at, uint column) {
    vec4 y = vec4(0.0);
    [[unroll]] for (uint part = 0; part < 4; part += STORE) {
        if (column + part < COLUMNS) {
            vec4 texel = texelFetch(output_texels, int((at + part) / STORE));
            [[unroll]] for (uint t = 0; t < STORE; ++t) y[part + t] = texel[t];
        }
    }
    return y;
}

// Stores the results of row `r` of the invocation, where the row exists. No loop here may be left to
// the driver: an index that it does not know keeps all sums in memory, and each of their stores
// becomes a branch per lane. (Mesa does not unroll a loop around a loop that stays, nor one whose
// step is larger than its bound.)
void store_row(uint r, uint group, uint channel0) {
    const uint QUADS = (COLUMNS + 3) / 4;
    uint result_image = replica() * p.result_replica + image[r] * p.result_row;
    uint output_image = replica() * p.output_replica + image[r] * p.result_row;
    [[unroll]] for (uint o = 0; o < CHANNELS; ++o) {
        uint channel = group * p.result_channels + channel0 + o;
        if (row_exists[r] && channel0 + o < p.result_channels) {
            uint first = (channel * p.result_height + row[r]) * RESULT_WIDTH + column0[r];
            [[unroll]] for (uint quad = 0; quad < QUADS; ++quad) {
                uint column = quad * 4;
                vec4 value = results(o, r, column);
                if (ACTIVATION_GRADIENT != 0) {
                    vec4 y = activation_outputs(output_image + first + column, column);
                    value *= activation_derivative(ACTIVATION_GRADIENT, y, p.alpha);
                }
                int count = int(COLUMNS - column);
                if (TILES > 1) count = min(count, int(RESULT_WIDTH) - int(column0[r] + column));
                store(result_image + first + column, value, count);
            }
        }
    }
    pad(r, group, channel0,
        p.groups * p.result_channels * p.result_height * RESULT_WIDTH);
}
