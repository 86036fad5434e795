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

KERNEL bias_finish(const double *parts, A *dbias, i64 channels, i64 splits) {
    for EACH(c, channels) {
        double sum = 0;
        for (i64 s = 0; s < splits; s++) sum += parts[c * splits + s];
        dbias[c] = (A)sum;
    }
}
