// Winners of max pooling over tiles of 2 x 2, a word for each row of tiles: bits 2 w and 2 w + 1 say of
// tile w whether an element of its right column and of its lower row won. See nn/ops/conv2d.h.

const uint EVEN_BITS = 0x55555555u;

// Bit c: whether column c won in row `row` of the input.
uint winning_columns(uint winners, uint row) {
    uint here = (row % 2 == 1 ? winners : ~winners) >> 1 & EVEN_BITS;  // bit 2 w, of tile w
    uint right = winners & EVEN_BITS;
    return here & ~right | (here & right) << 1;
}

// The gradient of column `column` from that of its tile.
float gradient_of(float tile_gradient, uint winning, uint column) {
    return (winning & 1u << column) != 0 ? tile_gradient : 0.0;
}
