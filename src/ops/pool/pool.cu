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
        Place<W> at((u32)i, channels, oh, ow);
        int top = (int)at.v * sh - ph, left = (int)at.u * sw - pw;
        int bottom = min(top + kh, h), right = min(left + kw, w);
        top = max(top, 0);
        left = max(left, 0);
        const T *map = x + (i64)at.image * h * w * channels + at.c;
        Few<W> best = *(const Few<W> *)(map + (i64)(top * w + left) * channels);
        Maxima<W> where;
        for (int k = 0; k < W; k++) where.v[k] = top * w + left;
        for (int v = top; v < bottom; v++)
            for (int u = left; u < right; u++) {
                Few<W> p = *(const Few<W> *)(map + (i64)(v * w + u) * channels);
                for (int k = 0; k < W; k++) {
                    A here = get(p.v[k]);
                    if (here > get(best.v[k]) || here != here) {
                        best.v[k] = p.v[k];
                        where.v[k] = v * w + u;
                    }
                }
            }
        *(Few<W> *)(y + i * W) = best;
        *(Maxima<W> *)(places + i * W) = where;
    }
}

KERNEL max_last_forward(const T *x, T *y, u32 *places, i64 n, i64 channels, i64 wide, WINDOW) {
    if (wide) max_of<LANES>(x, y, places, n / LANES, channels, SIZES);
    else max_of<1>(x, y, places, n, channels, SIZES);
}

template <int W> DEVICE void max_gradient(const u32 *places, const T *dy, T *dx, u32 n, u32 channels, INTS) {
    for EACH(i, n) {
        Place<W> at((u32)i, channels, h, w);
        u32 place = at.v * w + at.u;
        int top, bottom, left, right;
        windows((int)at.v, kh, sh, ph, oh, &top, &bottom);
        windows((int)at.u, kw, sw, pw, ow, &left, &right);
        A sum[W] = {0};
        for (int oy = top; oy < bottom; oy++)
            for (int ox = left; ox < right; ox++) {
                i64 o = (((i64)at.image * oh + oy) * ow + ox) * channels + at.c;
                Maxima<W> where = *(const Maxima<W> *)(places + o);
                Few<W> d = *(const Few<W> *)(dy + o);
                for (int k = 0; k < W; k++) sum[k] += where.v[k] == place ? get(d.v[k]) : (A)0;
            }
        store<W>(sum, dx + i * W);
    }
}

KERNEL max_last_backward(const u32 *places, const T *dy, T *dx, i64 n, i64 channels, i64 wide, WINDOW) {
    if (wide) max_gradient<LANES>(places, dy, dx, n / LANES, channels, SIZES);
    else max_gradient<1>(places, dy, dx, n, channels, SIZES);
}

template <int W> DEVICE void mean_of(const T *x, T *y, u32 n, u32 channels, INTS) {
    for EACH(i, n) {
        Place<W> at((u32)i, channels, oh, ow);
        int top = (int)at.v * sh - ph, left = (int)at.u * sw - pw;
        int bottom = min(top + kh, h), right = min(left + kw, w);
        const T *map = x + (i64)at.image * h * w * channels + at.c;
        A sum[W] = {0};
        for (int v = max(top, 0); v < bottom; v++)
#pragma unroll 8
            for (int u = max(left, 0); u < right; u++) {
                Few<W> p = *(const Few<W> *)(map + (i64)(v * w + u) * channels);
                for (int k = 0; k < W; k++) sum[k] += get(p.v[k]);
            }
        for (int k = 0; k < W; k++) sum[k] /= (A)(kh * kw);
        store<W>(sum, y + i * W);
    }
}

KERNEL mean_last_forward(const T *x, T *y, i64 n, i64 channels, i64 wide, WINDOW) {
    if (wide) mean_of<LANES>(x, y, n / LANES, channels, SIZES);
    else mean_of<1>(x, y, n, channels, SIZES);
}

template <int W> DEVICE void mean_gradient(const T *dy, T *dx, u32 n, u32 channels, INTS) {
    for EACH(i, n) {
        Place<W> at((u32)i, channels, h, w);
        int top, bottom, left, right;
        windows((int)at.v, kh, sh, ph, oh, &top, &bottom);
        windows((int)at.u, kw, sw, pw, ow, &left, &right);
        A sum[W] = {0};
        for (int oy = top; oy < bottom; oy++)
            for (int ox = left; ox < right; ox++) {
                Few<W> d = *(const Few<W> *)(dy + (((i64)at.image * oh + oy) * ow + ox) * channels + at.c);
                for (int k = 0; k < W; k++) sum[k] += get(d.v[k]);
            }
        for (int k = 0; k < W; k++) sum[k] /= (A)(kh * kw);
        store<W>(sum, dx + i * W);
    }
}

KERNEL mean_last_backward(const T *dy, T *dx, i64 n, i64 channels, i64 wide, WINDOW) {
    if (wide) mean_gradient<LANES>(dy, dx, n / LANES, channels, SIZES);
    else mean_gradient<1>(dy, dx, n, channels, SIZES);
}

// ---- all pixels of an image: too few outputs for a thread each ----

// The sum of share blockIdx.x of the pixels of image blockIdx.z, each channel: parts [images, channels, shares].
template <int W> DEVICE void whole_sums_of(const T *x, double *parts, i64 rows, i64 channels, i64 across) {
    __shared__ Sums<W> block;
    Share<W> at(channels, across);
    const T *map = x + (i64)blockIdx.z * rows * channels;
    A v[W] = {0};
    if (at.inside())
#pragma unroll 4
        for (u32 r = at.row; r < (u32)rows; r += at.step) {
            Few<W> p = at.load(map, r);
            for (int k = 0; k < W; k++) v[k] += get(p.v[k]);
        }
    column_sums(&block, v, at.across);
    for (u32 i = threadIdx.x; i < W * at.across; i += 256) {
        i64 c = (i64)(blockIdx.y * at.across + i / W) * W + i % W;
        if (c < channels) parts[(blockIdx.z * channels + c) * gridDim.x + blockIdx.x] = column_sum(&block, i % W, i / W);
    }
}

KERNEL whole_sums(const T *x, double *parts, i64 rows, i64 channels, i64 across, i64 wide) {
    if (wide) whole_sums_of<LANES>(x, parts, rows, channels, across);
    else whole_sums_of<1>(x, parts, rows, channels, across);
}

// One warp a number.
KERNEL whole_finish(const double *parts, T *y, i64 n, i64 splits, i64 divisor) {
    i64 i = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (i >= n) return; // the whole warp
    double sum = 0;
    for (i64 s = threadIdx.x & 31; s < splits; s += 32) sum += parts[i * splits + s];
    sum = warp_sum(sum);
    if ((threadIdx.x & 31) == 0) y[i] = put((A)(sum / divisor));
}
