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

// ---- maps with the channels last: a thread has some neighbouring channels of one output or input ----

template <int W>
DEVICE void bilinear(const T *x, const u32 *row_low, const u32 *row_high, const A *row_share, const u32 *column_low, const u32 *column_high,
                     const A *column_share, T *y, u32 n, u32 channels, i64 h, i64 w, i64 oh, i64 ow) {
    for EACH(i, n) {
        Place<W> at((u32)i, channels, oh, ow);
        const T *map = x + (i64)at.image * h * w * channels + at.c;
        const T *top = map + row_low[at.v] * w * channels, *bottom = map + row_high[at.v] * w * channels;
        i64 left = (i64)column_low[at.u] * channels, right = (i64)column_high[at.u] * channels;
        Few<W> p = *(const Few<W> *)(top + left), q = *(const Few<W> *)(top + right);
        Few<W> r = *(const Few<W> *)(bottom + left), s = *(const Few<W> *)(bottom + right);
        A down = row_share[at.v], across = column_share[at.u];
        for (int k = 0; k < W; k++) {
            A a = get(p.v[k]), b = get(q.v[k]);
            a += down * (get(r.v[k]) - a);
            b += down * (get(s.v[k]) - b);
            p.v[k] = put(a + across * (b - a));
        }
        *(Few<W> *)(y + i * W) = p;
    }
}

KERNEL bilinear_last_forward(const T *x, const u32 *row_low, const u32 *row_high, const A *row_share, const u32 *column_low,
                             const u32 *column_high, const A *column_share, T *y, i64 n, i64 h, i64 w, i64 oh, i64 ow, i64 channels,
                             i64 wide) {
    if (wide)
        bilinear<LANES>(x, row_low, row_high, row_share, column_low, column_high, column_share, y, n / LANES, channels, h, w, oh, ow);
    else
        bilinear<1>(x, row_low, row_high, row_share, column_low, column_high, column_share, y, n, channels, h, w, oh, ow);
}

template <int W>
DEVICE void bilinear_back(const T *dy, const u32 *row_low, const u32 *row_high, const A *row_share, const u32 *column_low,
                          const u32 *column_high, const A *column_share, T *dx, u32 n, u32 channels, i64 h, i64 w, i64 oh, i64 ow) {
    for EACH(i, n) {
        Place<W> at((u32)i, channels, h, w);
        int top, bottom, left, right;
        span(row_low, row_high, oh, at.v, &top, &bottom);
        span(column_low, column_high, ow, at.u, &left, &right);
        A sum[W] = {0};
        for (int oy = top; oy < bottom; oy++) {
            A down = part(row_low, row_high, row_share, oy, at.v);
            const T *from = dy + ((i64)at.image * oh + oy) * ow * channels + at.c;
            for (int ox = left; ox < right; ox++) {
                Few<W> d = *(const Few<W> *)(from + (i64)ox * channels);
                A share = down * part(column_low, column_high, column_share, ox, at.u);
                for (int k = 0; k < W; k++) sum[k] += share * get(d.v[k]);
            }
        }
        store<W>(sum, dx + i * W);
    }
}

KERNEL bilinear_last_backward(const T *dy, const u32 *row_low, const u32 *row_high, const A *row_share, const u32 *column_low,
                              const u32 *column_high, const A *column_share, T *dx, i64 n, i64 h, i64 w, i64 oh, i64 ow, i64 channels,
                              i64 wide) {
    if (wide)
        bilinear_back<LANES>(dy, row_low, row_high, row_share, column_low, column_high, column_share, dx, n / LANES, channels, h, w, oh, ow);
    else
        bilinear_back<1>(dy, row_low, row_high, row_share, column_low, column_high, column_share, dx, n, channels, h, w, oh, ow);
}

template <int W>
DEVICE void nearest(const T *x, const u32 *rows, const u32 *columns, T *y, u32 n, u32 channels, i64 h, i64 w, i64 oh, i64 ow) {
    for EACH(i, n) {
        Place<W> at((u32)i, channels, oh, ow);
        const T *from = x + (((i64)at.image * h + rows[at.v]) * w + columns[at.u]) * channels + at.c;
        *(Few<W> *)(y + i * W) = *(const Few<W> *)from;
    }
}

KERNEL nearest_last_forward(const T *x, const u32 *rows, const u32 *columns, T *y, i64 n, i64 h, i64 w, i64 oh, i64 ow, i64 channels,
                            i64 wide) {
    if (wide) nearest<LANES>(x, rows, columns, y, n / LANES, channels, h, w, oh, ow);
    else nearest<1>(x, rows, columns, y, n, channels, h, w, oh, ow);
}

template <int W>
DEVICE void nearest_back(const T *dy, const u32 *rows, const u32 *columns, T *dx, u32 n, u32 channels, i64 h, i64 w, i64 oh, i64 ow) {
    for EACH(i, n) {
        Place<W> at((u32)i, channels, h, w);
        int top, bottom, left, right;
        span(rows, rows, oh, at.v, &top, &bottom);
        span(columns, columns, ow, at.u, &left, &right);
        A sum[W] = {0};
        for (int oy = top; oy < bottom; oy++)
            for (int ox = left; ox < right; ox++) {
                Few<W> d = *(const Few<W> *)(dy + (((i64)at.image * oh + oy) * ow + ox) * channels + at.c);
                for (int k = 0; k < W; k++) sum[k] += get(d.v[k]);
            }
        store<W>(sum, dx + i * W);
    }
}

KERNEL nearest_last_backward(const T *dy, const u32 *rows, const u32 *columns, T *dx, i64 n, i64 h, i64 w, i64 oh, i64 ow, i64 channels,
                             i64 wide) {
    if (wide) nearest_back<LANES>(dy, rows, columns, dx, n / LANES, channels, h, w, oh, ow);
    else nearest_back<1>(dy, rows, columns, dx, n, channels, h, w, oh, ow);
}
