// Resizing maps. One thread an output (forward) or an input (backward, which gathers: no atomics, one order of adding).
// Sizes: `h w` of the input, `oh ow` of the output. Places and shares are those that the host computed for each row and column.

// The first and last + 1 output whose low or high source is `at`: sources never decrease.
DEVICE void span(const u32 *low, const u32 *high, i64 outputs, u32 at, int *first, int *end) {
    int a = 0, b = (int)outputs;
    while (a < b) {
        int m = (a + b) / 2;
        if (high[m] < at) a = m + 1; else b = m;
    }
    *first = a;
    b = (int)outputs;
    while (a < b) {
        int m = (a + b) / 2;
        if (low[m] <= at) a = m + 1; else b = m;
    }
    *end = a;
}

// How much output `o` takes of source `at`.
DEVICE A part(const u32 *low, const u32 *high, const A *share, int o, u32 at) {
    return (low[o] == at ? 1 - share[o] : (A)0) + (high[o] == at ? share[o] : (A)0);
}

KERNEL bilinear_forward(const T *x, const u32 *row_low, const u32 *row_high, const A *row_share, const u32 *column_low,
                        const u32 *column_high, const A *column_share, T *y, i64 n, i64 h, i64 w, i64 oh, i64 ow) {
    for EACH(i, n) {
        u32 row = (u32)(i / ow), plane = row / (u32)oh, oy = row - plane * (u32)oh, ox = (u32)(i - (i64)row * ow);
        const T *map = x + (i64)plane * h * w;
        const T *top = map + (i64)row_low[oy] * w, *bottom = map + (i64)row_high[oy] * w;
        u32 left = column_low[ox], right = column_high[ox];
        A share = row_share[oy];
        A a = get(top[left]), b = get(top[right]);
        a += share * (get(bottom[left]) - a);
        b += share * (get(bottom[right]) - b);
        y[i] = put(a + column_share[ox] * (b - a));
    }
}

KERNEL bilinear_backward(const T *dy, const u32 *row_low, const u32 *row_high, const A *row_share, const u32 *column_low,
                         const u32 *column_high, const A *column_share, T *dx, i64 n, i64 h, i64 w, i64 oh, i64 ow) {
    for EACH(i, n) {
        u32 row = (u32)(i / w), plane = row / (u32)h, v = row - plane * (u32)h, u = (u32)(i - (i64)row * w);
        int top, bottom, left, right;
        span(row_low, row_high, oh, v, &top, &bottom);
        span(column_low, column_high, ow, u, &left, &right);
        A sum = 0;
        for (int oy = top; oy < bottom; oy++) {
            A line = 0;
            const T *from = dy + ((i64)plane * oh + oy) * ow;
            for (int ox = left; ox < right; ox++) line += part(column_low, column_high, column_share, ox, u) * get(from[ox]);
            sum += part(row_low, row_high, row_share, oy, v) * line;
        }
        dx[i] = put(sum);
    }
}

KERNEL nearest_forward(const T *x, const u32 *rows, const u32 *columns, T *y, i64 n, i64 h, i64 w, i64 oh, i64 ow) {
    for EACH(i, n) {
        u32 row = (u32)(i / ow), plane = row / (u32)oh, oy = row - plane * (u32)oh, ox = (u32)(i - (i64)row * ow);
        y[i] = x[((i64)plane * h + rows[oy]) * w + columns[ox]];
    }
}

KERNEL nearest_backward(const T *dy, const u32 *rows, const u32 *columns, T *dx, i64 n, i64 h, i64 w, i64 oh, i64 ow) {
    for EACH(i, n) {
        u32 row = (u32)(i / w), plane = row / (u32)h, v = row - plane * (u32)h, u = (u32)(i - (i64)row * w);
        int top, bottom, left, right;
        span(rows, rows, oh, v, &top, &bottom);
        span(columns, columns, ow, u, &left, &right);
        A sum = 0;
        for (int oy = top; oy < bottom; oy++)
            for (int ox = left; ox < right; ox++) sum += get(dy[((i64)plane * oh + oy) * ow + ox]);
        dx[i] = put(sum);
    }
}
