// Windows over maps. One thread an output (forward) or an input (backward, which gathers: no atomics, one order of adding).
// Sizes: `h w` of the input, `oh ow` of the output, kernel `kh kw`, stride `sh sw`, padding `ph pw`.

#define WINDOW i64 h, i64 w, i64 oh, i64 ow, i64 kh, i64 kw, i64 sh, i64 sw, i64 ph, i64 pw

// The first and last + 1 output whose window along one axis holds input `at`.
DEVICE void windows(int at, int kernel, int stride, int padding, int outputs, int *low, int *high) {
    int first = at + padding - kernel + 1;
    *low = first <= 0 ? 0 : (first + stride - 1) / stride;
    *high = min((at + padding) / stride + 1, outputs);
}

KERNEL max_forward(const T *x, T *y, u32 *places, i64 n, WINDOW) {
    for EACH(i, n) {
        u32 row = (u32)(i / ow), plane = row / (u32)oh;
        int oy = (int)(row - plane * (u32)oh), ox = (int)(i - (i64)row * ow);
        const T *map = x + (i64)plane * h * w;
        int top = oy * (int)sh - (int)ph, left = ox * (int)sw - (int)pw;
        int bottom = min(top + (int)kh, (int)h), right = min(left + (int)kw, (int)w);
        top = max(top, 0);
        left = max(left, 0);
        int place = top * (int)w + left;
        A best = get(map[place]);
        for (int v = top; v < bottom; v++)
            for (int u = left; u < right; u++) {
                A at = get(map[v * (int)w + u]);
                if (at > best || at != at) {
                    best = at;
                    place = v * (int)w + u;
                }
            }
        y[i] = put(best);
        places[i] = (u32)place;
    }
}

KERNEL max_backward(const u32 *places, const T *dy, T *dx, i64 n, WINDOW) {
    for EACH(i, n) {
        u32 row = (u32)(i / w), plane = row / (u32)h;
        int v = (int)(row - plane * (u32)h), u = (int)(i - (i64)row * w), place = v * (int)w + u;
        int top, bottom, left, right;
        windows(v, (int)kh, (int)sh, (int)ph, (int)oh, &top, &bottom);
        windows(u, (int)kw, (int)sw, (int)pw, (int)ow, &left, &right);
        A sum = 0;
        for (int oy = top; oy < bottom; oy++)
            for (int ox = left; ox < right; ox++) {
                i64 o = ((i64)plane * oh + oy) * ow + ox;
                if (places[o] == (u32)place) sum += get(dy[o]);
            }
        dx[i] = put(sum);
    }
}

KERNEL mean_forward(const T *x, T *y, i64 n, WINDOW) {
    for EACH(i, n) {
        u32 row = (u32)(i / ow), plane = row / (u32)oh;
        int oy = (int)(row - plane * (u32)oh), ox = (int)(i - (i64)row * ow);
        const T *map = x + (i64)plane * h * w;
        int top = oy * (int)sh - (int)ph, left = ox * (int)sw - (int)pw;
        int bottom = min(top + (int)kh, (int)h), right = min(left + (int)kw, (int)w);
        A sum = 0;
        for (int v = max(top, 0); v < bottom; v++)
            for (int u = max(left, 0); u < right; u++) sum += get(map[v * (int)w + u]);
        y[i] = put(sum / (A)(kh * kw));
    }
}

KERNEL mean_backward(const T *dy, T *dx, i64 n, WINDOW) {
    for EACH(i, n) {
        u32 row = (u32)(i / w), plane = row / (u32)h;
        int v = (int)(row - plane * (u32)h), u = (int)(i - (i64)row * w);
        int top, bottom, left, right;
        windows(v, (int)kh, (int)sh, (int)ph, (int)oh, &top, &bottom);
        windows(u, (int)kw, (int)sw, (int)pw, (int)ow, &left, &right);
        A sum = 0;
        for (int oy = top; oy < bottom; oy++)
            for (int ox = left; ox < right; ox++) sum += get(dy[((i64)plane * oh + oy) * ow + ox]);
        dx[i] = put(sum / (A)(kh * kw));
    }
}
