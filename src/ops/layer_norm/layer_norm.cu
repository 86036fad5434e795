// Layer norm over the channels of a map [images, channels, area]. A block of 256 threads takes 32 positions, its 8 warps every eighth
// channel, so that neighbouring threads read neighbouring elements.

// The sum over the warps, for each position; all threads get it.
DEVICE A across(A v) {
    __shared__ A parts[8][32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    __syncthreads();
    parts[warp][lane] = v;
    __syncthreads();
    A sum = 0;
    for (int w = 0; w < 8; w++) sum += parts[w][lane];
    return sum;
}

// `(x - mean) scale weight + bias` with scale = 1 / sqrt(var + eps); mean and scale are kept for each position.
KERNEL layer_norm_forward(const T *x, const A *weight, const A *bias, A *means, A *scales, T *y, i64 images, i64 channels,
                          i64 area, A eps) {
    i64 position = (i64)blockIdx.x * 32 + (threadIdx.x & 31), warp = threadIdx.x >> 5;
    bool inside = position < images * area;
    i64 first = inside ? position / area * channels * area + position % area : 0;
    i64 end = inside ? channels : 0;
    A sum = 0, square = 0;
    for (i64 c = warp; c < end; c += 8) sum += get(x[first + c * area]);
    A mean = across(sum) / (A)channels;
    for (i64 c = warp; c < end; c += 8) {
        A d = get(x[first + c * area]) - mean;
        square += d * d;
    }
    A scale = 1 / sqrt(across(square) / (A)channels + eps);
    if (inside && warp == 0) {
        means[position] = mean;
        scales[position] = scale;
    }
    for (i64 c = warp; c < end; c += 8) {
        i64 at = first + c * area;
        y[at] = put((get(x[at]) - mean) * scale * weight[c] + bias[c]);
    }
}

// `scale (g - mean(g) - xhat mean(g xhat))` with `g = dy weight`, the means over the channels.
KERNEL layer_norm_gradient(const T *x, const T *dy, const A *weight, const A *means, const A *scales, T *dx, i64 images, i64 channels,
                           i64 area) {
    i64 position = (i64)blockIdx.x * 32 + (threadIdx.x & 31), warp = threadIdx.x >> 5;
    bool inside = position < images * area;
    i64 first = inside ? position / area * channels * area + position % area : 0;
    i64 end = inside ? channels : 0;
    A mean = inside ? means[position] : (A)0, scale = inside ? scales[position] : (A)0, plain = 0, along = 0;
    for (i64 c = warp; c < end; c += 8) {
        i64 at = first + c * area;
        A g = get(dy[at]) * weight[c];
        plain += g;
        along += g * (get(x[at]) - mean) * scale;
    }
    plain = across(plain) / (A)channels;
    along = across(along) / (A)channels;
    for (i64 c = warp; c < end; c += 8) {
        i64 at = first + c * area;
        A normal = (get(x[at]) - mean) * scale;
        dx[at] = put(scale * (get(dy[at]) * weight[c] - plain - normal * along));
    }
}

// Each block, of channel blockIdx.y: two numbers, the sums of `dy xhat` and of `dy` over its share of all positions.
KERNEL layer_norm_sums(const T *x, const T *dy, const A *means, const A *scales, double *parts, i64 images, i64 channels, i64 area) {
    i64 c = blockIdx.y;
    double product = 0, sum = 0;
    for EACH(p, images * area) {
        i64 at = (p / area * channels + c) * area + p % area;
        A d = get(dy[at]);
        product += (double)(d * (get(x[at]) - means[p]) * scales[p]);
        sum += (double)d;
    }
    product = block_sum(product);
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        double *to = parts + (c * gridDim.x + blockIdx.x) * 2;
        to[0] = product;
        to[1] = sum;
    }
}

// One thread a channel: the gradients of weight and bias.
KERNEL layer_norm_finish(const double *parts, A *dweight, A *dbias, i64 channels, i64 splits) {
    for EACH(c, channels) {
        double product = 0, sum = 0;
        for (i64 s = 0; s < splits; s++) {
            product += parts[(c * splits + s) * 2];
            sum += parts[(c * splits + s) * 2 + 1];
        }
        dweight[c] = (A)product;
        dbias[c] = (A)sum;
    }
}
