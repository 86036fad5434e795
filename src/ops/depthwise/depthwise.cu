// Depthwise convolution of maps with the channels last: every thread has some neighbouring channels of one pixel, so that a warp reads whole
// lines. The weight is packed, [taps, channels]. Gradients gather: no atomics, one order of adding.
// Sizes: `h w` of the input, `oh ow` of the output, kernel `kh kw`, stride `sh sw`, padding `ph pw`, dilation `dh dw`.

#define WINDOW i64 h, i64 w, i64 oh, i64 ow, i64 kh, i64 kw, i64 sh, i64 sw, i64 ph, i64 pw, i64 dh, i64 dw
#define SIZES (int)h, (int)w, (int)oh, (int)ow, (int)kh, (int)kw, (int)sh, (int)sw, (int)ph, (int)pw, (int)dh, (int)dw
#define INTS int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw

template <int W> DEVICE void add(A (&sum)[W], const T *map, const T *weight) {
    Few<W> p = *(const Few<W> *)map, q = *(const Few<W> *)weight;
    for (int k = 0; k < W; k++) sum[k] += get(p.v[k]) * get(q.v[k]);
}

template <int W> DEVICE void forward(const T *x, const T *weight, T *y, u32 n, u32 channels, INTS) {
    for EACH(i, n) {
        Place<W> at((u32)i, channels, oh, ow);
        int top = (int)at.v * sh - ph, left = (int)at.u * sw - pw;
        A sum[W] = {0};
        for (int a = 0; a < kh; a++) {
            int v = top + a * dh;
            if (v < 0 || v >= h) continue;
            for (int b = 0; b < kw; b++) {
                int u = left + b * dw;
                if (u < 0 || u >= w) continue;
                add<W>(sum, x + (((i64)at.image * h + v) * w + u) * channels + at.c, weight + (a * kw + b) * channels + at.c);
            }
        }
        store<W>(sum, y + (i64)i * W);
    }
}

KERNEL depthwise_forward(const T *x, const T *weight, T *y, i64 n, i64 channels, i64 wide, WINDOW) {
    if (wide) forward<LANES>(x, weight, y, n / LANES, channels, SIZES);
    else forward<1>(x, weight, y, n, channels, SIZES);
}

template <int W> DEVICE void backward(const T *dy, const T *weight, T *dx, u32 n, u32 channels, INTS) {
    for EACH(i, n) {
        Place<W> at((u32)i, channels, h, w);
        int v = (int)at.v + ph, u = (int)at.u + pw;
        A sum[W] = {0};
        for (int a = 0; a < kh; a++) {
            int down = v - a * dh, oy = sh == 1 ? down : down / sh;
            if (down < 0 || oy * sh != down || oy >= oh) continue;
            for (int b = 0; b < kw; b++) {
                int right = u - b * dw, ox = sw == 1 ? right : right / sw;
                if (right < 0 || ox * sw != right || ox >= ow) continue;
                add<W>(sum, dy + (((i64)at.image * oh + oy) * ow + ox) * channels + at.c, weight + (a * kw + b) * channels + at.c);
            }
        }
        store<W>(sum, dx + (i64)i * W);
    }
}

KERNEL depthwise_backward(const T *dy, const T *weight, T *dx, i64 n, i64 channels, i64 wide, WINDOW) {
    if (wide) backward<LANES>(dy, weight, dx, n / LANES, channels, SIZES);
    else backward<1>(dy, weight, dx, n, channels, SIZES);
}

// ---- the gradient of the weight: sums over all pixels ----

// Taps of one block, and channels of one thread: what its registers hold.
#define TAPS 9
#if REAL == 64
#define PAIR 1
#else
#define PAIR 2
#endif

// The share blockIdx.x of the outputs' pixels, taps from blockIdx.z * TAPS on: parts [taps, channels, shares].
template <int W> DEVICE void weight_sums(const T *x, const T *dy, double *parts, i64 rows, i64 channels, i64 across, INTS) {
    __shared__ Sums<TAPS * W> block;
    Share<W> at(channels, across);
    int first = blockIdx.z * TAPS, end = min(first + TAPS, kh * kw);
    A v[TAPS * W] = {0};
    if (at.inside())
        for (u32 r = at.row; r < (u32)rows; r += at.step) {
            u32 row = r / ow, image = row / oh;
            int top = (int)(row - image * oh) * sh - ph, left = (int)(r - row * ow) * sw - pw;
            Few<W> d = at.load(dy, r);
#pragma unroll
            for (int t = 0; t < TAPS; t++) {
                int tap = first + t, a = tap / kw, p = top + a * dh, q = left + (tap - a * kw) * dw;
                if (tap >= end || p < 0 || p >= h || q < 0 || q >= w) continue;
                Few<W> from = at.load(x, (image * h + p) * w + q);
                for (int k = 0; k < W; k++) v[t * W + k] += get(from.v[k]) * get(d.v[k]);
            }
        }
    column_sums(&block, v, at.across);
    for (u32 i = threadIdx.x; i < (u32)(end - first) * W * at.across; i += 256) {
        u32 column = i % at.across, k = i / at.across;
        i64 c = (i64)(blockIdx.y * at.across + column) * W + k % W;
        if (c < channels) parts[((first + k / W) * channels + c) * gridDim.x + blockIdx.x] = column_sum(&block, k, column);
    }
}

KERNEL depthwise_weight_sums(const T *x, const T *dy, double *parts, i64 rows, i64 channels, i64 across, i64 wide, WINDOW) {
    if (wide) weight_sums<PAIR>(x, dy, parts, rows, channels, across, SIZES);
    else weight_sums<1>(x, dy, parts, rows, channels, across, SIZES);
}

// One warp a number: the gradient as weights are kept, [channels, taps].
KERNEL depthwise_weight_finish(const double *parts, A *gradient, i64 channels, i64 taps, i64 splits) {
    i64 i = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (i >= channels * taps) return; // the whole warp
    double sum = 0;
    for (i64 s = threadIdx.x & 31; s < splits; s += 32) sum += parts[i * splits + s];
    sum = warp_sum(sum);
    if ((threadIdx.x & 31) == 0) gradient[i % channels * taps + i / channels] = (A)sum;
}
