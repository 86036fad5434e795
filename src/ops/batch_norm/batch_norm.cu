// Batch normalisation of [images, channels, area]. Sums are added in one order only, without atomics, so that the same input gives
// the same bits; every channel is cut into `splits` parts so that few channels fill the GPU too.

// The index of a pack (or, where maps are not packed, an element) within channel c -> its place in the tensor.
DEVICE i64 place(u32 j, i64 c, i64 channels, i64 area) {
    u32 image = j / (u32)area;
    return ((i64)image * channels + c) * area + (j - image * (u32)area);
}

// Number, mean and sum of squared deviations of part blockIdx.x of channel blockIdx.y. Each thread sums around its own first value;
// the threads are joined by the formula of Chan, Golub, LeVeque (1979) in double.
KERNEL batch_norm_sums(const T *x, double *parts, i64 images, i64 channels, i64 area) {
    i64 c = blockIdx.y;
    u32 step = gridDim.x * blockDim.x, j = blockIdx.x * blockDim.x + threadIdx.x;
    A first = 0, sum = 0, square = 0;
    u32 count = 0;
    if (packed(area, x)) {
        i64 packs = area / LANES;
        for (; j < (u32)(images * packs); j += step) {
            Pack p = ((const Pack *)x)[place(j, c, channels, packs)];
            if (count == 0) first = get(p.v[0]);
            for (int k = 0; k < LANES; k++) {
                A d = get(p.v[k]) - first;
                sum += d;
                square += d * d;
            }
            count += LANES;
        }
    } else {
        for (; j < (u32)(images * area); j += step) {
            A v = get(x[place(j, c, channels, area)]);
            if (count == 0) first = v;
            v -= first;
            sum += v;
            square += v * v;
            count++;
        }
    }
    double mean = 0, spread = 0;
    if (count > 0) {
        mean = (double)sum / count;
        spread = (double)square - mean * (double)sum;
        mean += (double)first;
    }
    double n = block_sum((double)count);
    double all = n > 0 ? block_sum(mean * count) / n : 0;
    double total = block_sum(spread + (mean - all) * (mean - all) * count);
    if (threadIdx.x == 0) {
        double *to = parts + (c * gridDim.x + blockIdx.x) * 3;
        to[0] = n;
        to[1] = all;
        to[2] = total;
    }
}

// One warp a channel: the statistics from the parts, or (parts null) the running ones; then x -> x factor + shift.
// In training the running statistics move towards those of the batch.
KERNEL batch_norm_finish(const double *parts, const A *weight, const A *bias, A *running_mean, A *running_var, A *mean, A *scale,
                         A *factor, A *shift, i64 channels, i64 splits, A momentum, A eps) {
    i64 c = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (c >= channels) return; // the whole warp
    int lane = threadIdx.x & 31;
    double m = 0, v = 0;
    if (parts) {
        const double *p = parts + c * splits * 3;
        double n = 0, sum = 0, spread = 0;
        for (i64 s = lane; s < splits; s += 32) {
            n += p[s * 3];
            sum += p[s * 3] * p[s * 3 + 1];
        }
        n = warp_sum(n);
        m = warp_sum(sum) / n;
        for (i64 s = lane; s < splits; s += 32) spread += p[s * 3 + 2] + (p[s * 3 + 1] - m) * (p[s * 3 + 1] - m) * p[s * 3];
        spread = warp_sum(spread);
        v = spread / n;
        if (lane == 0) {
            running_mean[c] = (A)(running_mean[c] * (1 - (double)momentum) + m * momentum);
            running_var[c] = (A)(running_var[c] * (1 - (double)momentum) + spread / (n - 1) * momentum);
        }
    } else {
        m = running_mean[c];
        v = running_var[c];
    }
    if (lane != 0) return;
    double r = 1 / sqrt(v + (double)eps);
    mean[c] = (A)m;
    scale[c] = (A)r;
    factor[c] = (A)(weight[c] * r);
    shift[c] = (A)(bias[c] - m * weight[c] * r);
}

DEVICE T normal(T x, A factor, A shift, A residual, bool relu) {
    A v = get(x) * factor + shift + residual;
    return put(relu && v < 0 ? (A)0 : v);
}

KERNEL batch_norm_apply(const T *x, const A *factor, const A *shift, const T *residual, T *y, i64 channels, i64 area, i64 n, i64 relu) {
    if (packed(area, x, residual, y)) {
        u32 packs = (u32)(area / LANES);
        for EACH(i, n / LANES) {
            u32 c = (u32)i / packs % (u32)channels;
            Pack p = ((const Pack *)x)[i], r;
            if (residual) r = ((const Pack *)residual)[i];
            A f = factor[c], s = shift[c];
            for (int k = 0; k < LANES; k++) p.v[k] = normal(p.v[k], f, s, residual ? get(r.v[k]) : (A)0, relu);
            ((Pack *)y)[i] = p;
        }
    } else {
        for EACH(i, n) {
            u32 c = (u32)i / (u32)area % (u32)channels;
            y[i] = normal(x[i], factor[c], shift[c], residual ? get(residual[i]) : (A)0, relu);
        }
    }
}

// Whether the rectifier let an element pass: by the result y, or (y null) by what it was made of, x factor + shift, which needs no map to be
// read, or (both null) there was no rectifier.
DEVICE bool passed_by(const T *y, T result, const A *factor, T x, A f, A s) {
    return y ? !(get(result) <= 0) : !factor || !(get(x) * f + s <= 0); // NaN passes, as PyTorch's does
}

// With d = dy where the rectifier passed: sum d and sum d (x - mean) of a part of a channel.
KERNEL batch_norm_gradient_sums(const T *x, const T *y, const T *dy, const A *mean, const A *factor, const A *shift, double *parts,
                                i64 images, i64 channels, i64 area) {
    i64 c = blockIdx.y;
    u32 step = gridDim.x * blockDim.x, j = blockIdx.x * blockDim.x + threadIdx.x;
    A m = mean[c], f = factor ? factor[c] : 0, s = factor ? shift[c] : 0, sum = 0, product = 0;
    if (packed(area, x, y, dy)) {
        i64 packs = area / LANES;
        for (; j < (u32)(images * packs); j += step) {
            i64 at = place(j, c, channels, packs);
            Pack p = ((const Pack *)x)[at], q = ((const Pack *)dy)[at], o = p;
            if (y) o = ((const Pack *)y)[at];
            for (int k = 0; k < LANES; k++) {
                A d = passed_by(y, o.v[k], factor, p.v[k], f, s) ? get(q.v[k]) : (A)0;
                sum += d;
                product += d * (get(p.v[k]) - m);
            }
        }
    } else {
        for (; j < (u32)(images * area); j += step) {
            i64 at = place(j, c, channels, area);
            A d = passed_by(y, y ? y[at] : x[at], factor, x[at], f, s) ? get(dy[at]) : (A)0;
            sum += d;
            product += d * (get(x[at]) - m);
        }
    }
    double all = block_sum((double)sum), products = block_sum((double)product);
    if (threadIdx.x == 0) {
        parts[(c * gridDim.x + blockIdx.x) * 2] = all;
        parts[(c * gridDim.x + blockIdx.x) * 2 + 1] = products;
    }
}

// One warp a channel: the gradients of weight and bias, and the three numbers of dx = a d + b x + e.
KERNEL batch_norm_gradient_finish(const double *parts, const A *weight, const A *mean, const A *scale, A *dweight, A *dbias, A *abe,
                                  i64 channels, i64 splits, i64 count, i64 training) {
    i64 c = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (c >= channels) return; // the whole warp
    int lane = threadIdx.x & 31;
    double sum = 0, product = 0;
    for (i64 s = lane; s < splits; s += 32) {
        sum += parts[(c * splits + s) * 2];
        product += parts[(c * splits + s) * 2 + 1];
    }
    sum = warp_sum(sum);
    product = warp_sum(product);
    if (lane != 0) return;
    double r = scale[c], total = product * r, a = weight[c] * r;
    double b = training ? -a * r * total / count : 0;
    double e = training ? -a * sum / count - b * mean[c] : 0;
    dweight[c] = (A)total;
    dbias[c] = (A)sum;
    abe[c] = (A)a;
    abe[channels + c] = (A)b;
    abe[2 * channels + c] = (A)e;
}

// In evaluation b is 0: nothing of x, which may be NaN.
DEVICE A back(A a, A b, A e, A x, A d) { return a * d + (b == 0 ? (A)0 : b * x) + e; }

// dx, and d itself where `passed` is wanted.
KERNEL batch_norm_gradient(const T *x, const T *y, const T *dy, const A *abe, const A *factor, const A *shift, T *dx, T *passed,
                           i64 channels, i64 area, i64 n) {
    if (packed(area, x, y, dy, dx) && packed(area, passed)) {
        u32 packs = (u32)(area / LANES);
        for EACH(i, n / LANES) {
            u32 c = (u32)i / packs % (u32)channels;
            Pack p = ((const Pack *)x)[i], q = ((const Pack *)dy)[i], o = p;
            if (y) o = ((const Pack *)y)[i];
            A a = abe[c], b = abe[channels + c], e = abe[2 * channels + c], f = factor ? factor[c] : 0, s = factor ? shift[c] : 0;
            for (int k = 0; k < LANES; k++) {
                if (!passed_by(y, o.v[k], factor, p.v[k], f, s)) q.v[k] = put(0);
                p.v[k] = put(back(a, b, e, get(p.v[k]), get(q.v[k])));
            }
            ((Pack *)dx)[i] = p;
            if (passed) ((Pack *)passed)[i] = q;
        }
    } else {
        for EACH(i, n) {
            u32 c = (u32)i / (u32)area % (u32)channels;
            A f = factor ? factor[c] : 0, s = factor ? shift[c] : 0;
            T d = passed_by(y, y ? y[i] : x[i], factor, x[i], f, s) ? dy[i] : put(0);
            dx[i] = put(back(abe[c], abe[channels + c], abe[2 * channels + c], get(x[i]), get(d)));
            if (passed) passed[i] = d;
        }
    }
}

// ---- maps with the channels last, [rows, channels]: a thread keeps the numbers of its channels in registers (`Share`) ----

// As batch_norm_sums: number, mean and sum of squared deviations of share blockIdx.x of the rows of each channel, around the channel's
// first value.
template <int W> DEVICE void sums(const T *x, double *parts, i64 rows, i64 channels, i64 across) {
    __shared__ Sums<2 * W> block;
    Share<W> at(channels, across);
    A first[W], v[2 * W] = {0};
    if (at.inside()) {
        Few<W> p = at.load(x, 0);
        for (int k = 0; k < W; k++) first[k] = get(p.v[k]);
#pragma unroll 4
        for (u32 r = at.row; r < (u32)rows; r += at.step) {
            p = at.load(x, r);
            for (int k = 0; k < W; k++) {
                A d = get(p.v[k]) - first[k];
                v[k] += d;
                v[W + k] += d * d;
            }
        }
    }
    column_sums(&block, v, at.across);
    u32 each = 256 / at.across, rest = (u32)rows % at.step, begin = blockIdx.x * each;
    double n = (u32)rows / at.step * each + (rest > begin ? min(rest - begin, each) : 0u);
    for (u32 i = threadIdx.x; i < W * at.across; i += 256) {
        u32 column = i / W, k = i % W;
        i64 c = (i64)(blockIdx.y * at.across + column) * W + k;
        if (c >= channels) continue;
        double sum = column_sum(&block, k, column), square = column_sum(&block, W + k, column);
        double *to = parts + (c * gridDim.x + blockIdx.x) * 3;
        to[0] = n;
        to[1] = n > 0 ? (double)get(x[c]) + sum / n : 0;
        to[2] = n > 0 ? square - sum * sum / n : 0;
    }
}

KERNEL batch_norm_last_sums(const T *x, double *parts, i64 rows, i64 channels, i64 across, i64 wide) {
    if (wide) sums<LANES>(x, parts, rows, channels, across);
    else sums<1>(x, parts, rows, channels, across);
}

template <int W> DEVICE void apply(const T *x, const A *factor, const A *shift, const T *residual, T *y, i64 rows, i64 channels,
                                   i64 across, i64 relu) {
    Share<W> at(channels, across);
    if (!at.inside()) return;
    A f[W], s[W];
    numbers<W>(factor, at.channel(), f);
    numbers<W>(shift, at.channel(), s);
#pragma unroll 2
    for (u32 r = at.row; r < (u32)rows; r += at.step) {
        Few<W> p = at.load(x, r), q;
        if (residual) q = at.load(residual, r);
        for (int k = 0; k < W; k++) {
            A v = get(p.v[k]) * f[k] + s[k] + (residual ? get(q.v[k]) : (A)0);
            p.v[k] = put(relu && v < 0 ? (A)0 : v);
        }
        at.store(y, r, p);
    }
}

KERNEL batch_norm_last_apply(const T *x, const A *factor, const A *shift, const T *residual, T *y, i64 rows, i64 channels, i64 across,
                             i64 wide, i64 relu) {
    if (wide) apply<LANES>(x, factor, shift, residual, y, rows, channels, across, relu);
    else apply<1>(x, factor, shift, residual, y, rows, channels, across, relu);
}

// As batch_norm_gradient_sums.
template <int W> DEVICE void gradient_sums(const T *x, const T *y, const T *dy, const A *mean, const A *factor, const A *shift,
                                           double *parts, i64 rows, i64 channels, i64 across) {
    __shared__ Sums<2 * W> block;
    Share<W> at(channels, across);
    A m[W], f[W] = {0}, s[W] = {0}, v[2 * W] = {0};
    if (at.inside()) {
        numbers<W>(mean, at.channel(), m);
        if (factor) numbers<W>(factor, at.channel(), f);
        if (factor) numbers<W>(shift, at.channel(), s);
#pragma unroll 2
        for (u32 r = at.row; r < (u32)rows; r += at.step) {
            Few<W> p = at.load(x, r), q = at.load(dy, r), o = p;
            if (y) o = at.load(y, r);
            for (int k = 0; k < W; k++) {
                A d = passed_by(y, o.v[k], factor, p.v[k], f[k], s[k]) ? get(q.v[k]) : (A)0;
                v[k] += d;
                v[W + k] += d * (get(p.v[k]) - m[k]);
            }
        }
    }
    column_sums(&block, v, at.across);
    for (u32 i = threadIdx.x; i < W * at.across; i += 256) {
        u32 column = i / W, k = i % W;
        i64 c = (i64)(blockIdx.y * at.across + column) * W + k;
        if (c >= channels) continue;
        parts[(c * gridDim.x + blockIdx.x) * 2] = column_sum(&block, k, column);
        parts[(c * gridDim.x + blockIdx.x) * 2 + 1] = column_sum(&block, W + k, column);
    }
}

KERNEL batch_norm_last_gradient_sums(const T *x, const T *y, const T *dy, const A *mean, const A *factor, const A *shift, double *parts,
                                     i64 rows, i64 channels, i64 across, i64 wide) {
    if (wide) gradient_sums<LANES>(x, y, dy, mean, factor, shift, parts, rows, channels, across);
    else gradient_sums<1>(x, y, dy, mean, factor, shift, parts, rows, channels, across);
}

// As batch_norm_gradient.
template <int W> DEVICE void gradient(const T *x, const T *y, const T *dy, const A *abe, const A *factor, const A *shift, T *dx,
                                      T *passed, i64 rows, i64 channels, i64 across) {
    Share<W> at(channels, across);
    if (!at.inside()) return;
    A a[W], b[W], e[W], f[W] = {0}, s[W] = {0};
    numbers<W>(abe, at.channel(), a);
    numbers<W>(abe + channels, at.channel(), b);
    numbers<W>(abe + 2 * channels, at.channel(), e);
    if (factor) numbers<W>(factor, at.channel(), f);
    if (factor) numbers<W>(shift, at.channel(), s);
#pragma unroll 2
    for (u32 r = at.row; r < (u32)rows; r += at.step) {
        Few<W> p = at.load(x, r), q = at.load(dy, r), o = p;
        if (y) o = at.load(y, r);
        for (int k = 0; k < W; k++) {
            if (!passed_by(y, o.v[k], factor, p.v[k], f[k], s[k])) q.v[k] = put(0);
            p.v[k] = put(back(a[k], b[k], e[k], get(p.v[k]), get(q.v[k])));
        }
        at.store(dx, r, p);
        if (passed) at.store(passed, r, q);
    }
}

KERNEL batch_norm_last_gradient(const T *x, const T *y, const T *dy, const A *abe, const A *factor, const A *shift, T *dx, T *passed,
                                i64 rows, i64 channels, i64 across, i64 wide) {
    if (wide) gradient<LANES>(x, y, dy, abe, factor, shift, dx, passed, rows, channels, across);
    else gradient<1>(x, y, dy, abe, factor, shift, dx, passed, rows, channels, across);
}
