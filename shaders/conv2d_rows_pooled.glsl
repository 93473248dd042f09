// Results of shaders/conv2d_rows.comp with POOLS: maxima of tiles of 2 x 2. Lanes 2 k and 2 k + 1 have the
// upper and the lower row of the same tiles. Both find the maxima; the one stores them for the even
// channels, the other for the odd ones, so that a store of the vector unit is never half empty.

const uint TILE_COLUMNS = COLUMNS / 2;

float maximum[MAX_COLUMNS];  // [channel of a pair][tile]
uint winners_of[2];

// Of the tiles of row `r`, channel `o`. Ties go to the first element, the upper row's before the
// lower one's.
void find_maxima(uint of_pair, uint o, uint r) {
    uint lane = gl_LocalInvocationID.x;
    uint right = 0, larger = 0;  // bits 2 w, of tile w
    [[unroll]] for (uint quad = 0; quad < (COLUMNS + 3) / 4; ++quad) {
        vec4 value = results(o, r, quad * 4);
        [[unroll]] for (uint t = 0; t < 2; ++t) {
            uint w = quad * 2 + t;
            if (w < TILE_COLUMNS) {
                bool second = value[2 * t + 1] > value[2 * t];
                float own = second ? value[2 * t + 1] : value[2 * t];
                float other = subgroupShuffle(own, lane ^ 1);
                right |= second ? 1u << 2 * w : 0;
                larger |= own > other ? 1u << 2 * w : 0;
                maximum[of_pair * TILE_COLUMNS + w] = own > other ? own : other;
            }
        }
    }
    uint lower = subgroupShuffle(larger, lane | 1);
    uint upper_right = subgroupShuffle(right, lane & ~1u);
    uint lower_right = subgroupShuffle(right, lane | 1);
    winners_of[of_pair] = lower << 1 | lower & lower_right | ~lower & upper_right;
}

// Of the row of tiles that row `r` of the invocation belongs to, where it exists.
void store_tiles(uint r, uint group, uint channel0) {
    const uint QUADS = (TILE_COLUMNS + 3) / 4;
    uint own = gl_LocalInvocationID.x % 2;  // channel of the pair
    uint result_image = replica() * p.result_replica + image[r] * p.result_row;
    uint winners_image = replica() * p.winners_replica + image[r] * p.winners_row;
    uint tile_rows = p.result_height / 2;
    [[unroll]] for (uint pair = 0; pair < (CHANNELS + 1) / 2; ++pair) {
        find_maxima(0, 2 * pair, r);
        bool two = 2 * pair + 1 < CHANNELS;
        if (two) find_maxima(1, 2 * pair + 1, r);
        uint channel = channel0 + 2 * pair + own;
        if (row_exists[r] && channel < p.result_channels && (two || own == 0)) {
            uint tile_row = (group * p.result_channels + channel) * tile_rows + row[r] / 2;
            [[unroll]] for (uint quad = 0; quad < QUADS; ++quad) {
                vec4 value = vec4(0.0);
                [[unroll]] for (uint part = 0; part < 4; ++part) {
                    uint w = quad * 4 + part;
                    if (w < TILE_COLUMNS)
                        value[part] = own == 0 ? maximum[w] : maximum[TILE_COLUMNS + w];
                }
                store(result_image + tile_row * TILE_COLUMNS + quad * 4, value,
                      int(TILE_COLUMNS - quad * 4));
            }
            winners[winners_image + tile_row] = own == 0 ? winners_of[0] : winners_of[1];
        }
    }
    pad(r, group, channel0,
        p.groups * p.result_channels * tile_rows * TILE_COLUMNS);
}
