// What a convolution needs besides cuDNN: the bias.

KERNEL bias_add(T *y, const A *bias, i64 channels, i64 area, i64 n) {
    for EACH(i, n) y[i] = put(get(y[i]) + bias[(u32)(i / area) % (u32)channels]);
}

// The sum of part blockIdx.x of channel blockIdx.y.
KERNEL bias_sums(const T *dy, double *parts, i64 images, i64 channels, i64 area) {
    i64 c = blockIdx.y;
    A sum = 0;
    u32 step = gridDim.x * blockDim.x;
    for (u32 j = blockIdx.x * blockDim.x + threadIdx.x; j < (u32)(images * area); j += step) {
        u32 image = j / (u32)area;
        sum += get(dy[((i64)image * channels + c) * area + (j - image * (u32)area)]);
    }
    double total = block_sum((double)sum);
    if (threadIdx.x == 0) parts[c * gridDim.x + blockIdx.x] = total;
}

// One warp a channel.
KERNEL bias_finish(const double *parts, A *dbias, i64 channels, i64 splits) {
    i64 c = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (c >= channels) return; // the whole warp
    double sum = 0;
    for (i64 s = threadIdx.x & 31; s < splits; s += 32) sum += parts[c * splits + s];
    sum = warp_sum(sum);
    if ((threadIdx.x & 31) == 0) dbias[c] = (A)sum;
}

// ---- maps with the channels last ----

template <int W> DEVICE void add_last(T *y, const A *bias, i64 rows, i64 channels, i64 across) {
    Share<W> at(channels, across);
    if (!at.inside()) return;
    A b[W];
    for (int k = 0; k < W; k++) b[k] = bias[at.channel() + k];
    for (u32 r = at.row; r < (u32)rows; r += at.step) {
        Few<W> p = at.load(y, r);
        for (int k = 0; k < W; k++) p.v[k] = put(get(p.v[k]) + b[k]);
        at.store(y, r, p);
    }
}

KERNEL bias_add_last(T *y, const A *bias, i64 rows, i64 channels, i64 across, i64 wide) {
    if (wide) add_last<LANES>(y, bias, rows, channels, across);
    else add_last<1>(y, bias, rows, channels, across);
}

template <int W> DEVICE void sums_last(const T *dy, double *parts, i64 rows, i64 channels, i64 across) {
    __shared__ Sums<W> block;
    Share<W> at(channels, across);
    A v[W] = {0};
    if (at.inside())
#pragma unroll 4
        for (u32 r = at.row; r < (u32)rows; r += at.step) {
            Few<W> p = at.load(dy, r);
            for (int k = 0; k < W; k++) v[k] += get(p.v[k]);
        }
    column_sums(&block, v, at.across);
    for (u32 i = threadIdx.x; i < W * at.across; i += 256) {
        i64 c = (i64)(blockIdx.y * at.across + i / W) * W + i % W;
        if (c < channels) parts[c * gridDim.x + blockIdx.x] = column_sum(&block, i % W, i / W);
    }
}

KERNEL bias_sums_last(const T *dy, double *parts, i64 rows, i64 channels, i64 across, i64 wide) {
    if (wide) sums_last<LANES>(dy, parts, rows, channels, across);
    else sums_last<1>(dy, parts, rows, channels, across);
}
