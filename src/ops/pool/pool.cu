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

// ---- maps with the channels last: a thread has some neighbouring channels of one output or input ----

#define SIZES (int)h, (int)w, (int)oh, (int)ow, (int)kh, (int)kw, (int)sh, (int)sw, (int)ph, (int)pw
#define INTS int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw

// The places of the maxima of W channels.
template <int W> struct alignas(W < 4 ? 4 : 16) Maxima { u32 v[W]; };

template <int W> DEVICE void max_of(const T *x, T *y, u32 *places, u32 n, u32 channels, INTS) {
    for EACH(i, n) {
        u32 pixel = (u32)i / (channels / W), c = ((u32)i - pixel * (channels / W)) * W;
        u32 row = pixel / ow, image = row / oh;
        int top = (int)(row - image * oh) * sh - ph, left = (int)(pixel - row * ow) * sw - pw;
        int bottom = min(top + kh, h), right = min(left + kw, w);
        top = max(top, 0);
        left = max(left, 0);
        const T *map = x + (i64)image * h * w * channels + c;
        Few<W> best = *(const Few<W> *)(map + (i64)(top * w + left) * channels);
        Maxima<W> at;
        for (int k = 0; k < W; k++) at.v[k] = top * w + left;
        for (int v = top; v < bottom; v++)
            for (int u = left; u < right; u++) {
                Few<W> p = *(const Few<W> *)(map + (i64)(v * w + u) * channels);
                for (int k = 0; k < W; k++) {
                    A here = get(p.v[k]);
                    if (here > get(best.v[k]) || here != here) {
                        best.v[k] = p.v[k];
                        at.v[k] = v * w + u;
                    }
                }
            }
        *(Few<W> *)(y + i * W) = best;
        *(Maxima<W> *)(places + i * W) = at;
    }
}

KERNEL max_last_forward(const T *x, T *y, u32 *places, i64 n, i64 channels, i64 wide, WINDOW) {
    if (wide) max_of<LANES>(x, y, places, n / LANES, channels, SIZES);
    else max_of<1>(x, y, places, n, channels, SIZES);
}

template <int W> DEVICE void max_gradient(const u32 *places, const T *dy, T *dx, u32 n, u32 channels, INTS) {
    for EACH(i, n) {
        u32 pixel = (u32)i / (channels / W), c = ((u32)i - pixel * (channels / W)) * W;
        u32 row = pixel / w, image = row / h, place = pixel - image * (h * w);
        int top, bottom, left, right;
        windows((int)(row - image * h), kh, sh, ph, oh, &top, &bottom);
        windows((int)(pixel - row * w), kw, sw, pw, ow, &left, &right);
        A sum[W] = {0};
        for (int oy = top; oy < bottom; oy++)
            for (int ox = left; ox < right; ox++) {
                i64 o = (((i64)image * oh + oy) * ow + ox) * channels + c;
                Maxima<W> at = *(const Maxima<W> *)(places + o);
                Few<W> d = *(const Few<W> *)(dy + o);
                for (int k = 0; k < W; k++) sum[k] += at.v[k] == place ? get(d.v[k]) : (A)0;
            }
        Few<W> to;
        for (int k = 0; k < W; k++) to.v[k] = put(sum[k]);
        *(Few<W> *)(dx + i * W) = to;
    }
}

KERNEL max_last_backward(const u32 *places, const T *dy, T *dx, i64 n, i64 channels, i64 wide, WINDOW) {
    if (wide) max_gradient<LANES>(places, dy, dx, n / LANES, channels, SIZES);
    else max_gradient<1>(places, dy, dx, n, channels, SIZES);
}

template <int W> DEVICE void mean_of(const T *x, T *y, u32 n, u32 channels, INTS) {
    for EACH(i, n) {
        u32 pixel = (u32)i / (channels / W), c = ((u32)i - pixel * (channels / W)) * W;
        u32 row = pixel / ow, image = row / oh;
        int top = (int)(row - image * oh) * sh - ph, left = (int)(pixel - row * ow) * sw - pw;
        int bottom = min(top + kh, h), right = min(left + kw, w);
        const T *map = x + (i64)image * h * w * channels + c;
        A sum[W] = {0};
        for (int v = max(top, 0); v < bottom; v++)
#pragma unroll 8
            for (int u = max(left, 0); u < right; u++) {
                Few<W> p = *(const Few<W> *)(map + (i64)(v * w + u) * channels);
                for (int k = 0; k < W; k++) sum[k] += get(p.v[k]);
            }
        Few<W> to;
        for (int k = 0; k < W; k++) to.v[k] = put(sum[k] / (A)(kh * kw));
        *(Few<W> *)(y + i * W) = to;
    }
}

KERNEL mean_last_forward(const T *x, T *y, i64 n, i64 channels, i64 wide, WINDOW) {
    if (wide) mean_of<LANES>(x, y, n / LANES, channels, SIZES);
    else mean_of<1>(x, y, n, channels, SIZES);
}

template <int W> DEVICE void mean_gradient(const T *dy, T *dx, u32 n, u32 channels, INTS) {
    for EACH(i, n) {
        u32 pixel = (u32)i / (channels / W), c = ((u32)i - pixel * (channels / W)) * W;
        u32 row = pixel / w, image = row / h;
        int top, bottom, left, right;
        windows((int)(row - image * h), kh, sh, ph, oh, &top, &bottom);
        windows((int)(pixel - row * w), kw, sw, pw, ow, &left, &right);
        A sum[W] = {0};
        for (int oy = top; oy < bottom; oy++)
            for (int ox = left; ox < right; ox++) {
                Few<W> d = *(const Few<W> *)(dy + (((i64)image * oh + oy) * ow + ox) * channels + c);
                for (int k = 0; k < W; k++) sum[k] += get(d.v[k]);
            }
        Few<W> to;
        for (int k = 0; k < W; k++) to.v[k] = put(sum[k] / (A)(kh * kw));
        *(Few<W> *)(dx + i * W) = to;
    }
}

KERNEL mean_last_backward(const T *dy, T *dx, i64 n, i64 channels, i64 wide, WINDOW) {
    if (wide) mean_gradient<LANES>(dy, dx, n / LANES, channels, SIZES);
    else mean_gradient<1>(dy, dx, n, channels, SIZES);
}
