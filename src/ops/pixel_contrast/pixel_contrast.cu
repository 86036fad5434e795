// The pixel contrastive loss on a GPU: everything but the matrix products. `plan` holds all whole numbers of one call (pixels, classes,
// class bounds, strips); the `..._at` arguments are places in it. Logits, rows and sums are of type A, the feature maps of type T.

// The element of a map [images, dim, area] that channel d of a pixel (numbered through the batch) is.
DEVICE i64 element(i64 pixel, i64 d, i64 dim, i64 area) { return (pixel / area * dim + d) * area + pixel % area; }

// 1 / norm of each pixel's features: 0 without direction, NaN if they are not finite (it then shows in the loss). A block of 256
// threads takes 32 pixels: neighbours in the list are mostly neighbours in the map.
KERNEL contrast_norms(const T *map, const i64 *plan, A *inverse, i64 pixels_at, i64 n, i64 dim, i64 area) {
    __shared__ double parts[8][32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    i64 row = (i64)blockIdx.x * 32 + lane;
    double square = 0;
    if (row < n) {
        i64 pixel = plan[pixels_at + row];
        for (i64 d = warp; d < dim; d += 8) {
            A x = get(map[element(pixel, d, dim, area)]);
            square += (double)x * x;
        }
    }
    parts[warp][lane] = square;
    __syncthreads();
    if (warp == 0 && row < n) {
        double sum = 0;
        for (int w = 0; w < 8; w++) sum += parts[w][lane];
        double norm = sqrt(sum);
        inverse[row] = (A)(sum - sum != 0 ? sum - sum : norm > 1e-12 ? 1 / norm : 0);
    }
}

// The unit rows [n, dim]: blockIdx.x counts 32 pixels, blockIdx.y 32 channels; turned over in shared memory.
KERNEL contrast_rows(const T *map, const i64 *plan, const A *inverse, A *rows, i64 pixels_at, i64 n, i64 dim, i64 area) {
    __shared__ A tile[32][33];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    i64 first = (i64)blockIdx.x * 32, channel = (i64)blockIdx.y * 32, row = first + lane;
    if (row < n) {
        i64 pixel = plan[pixels_at + row];
        A scale = inverse[row];
        for (int d = warp; d < 32 && channel + d < dim; d += 8) tile[d][lane] = get(map[element(pixel, channel + d, dim, area)]) * scale;
    }
    __syncthreads();
    for (int r = warp; r < 32 && first + r < n; r += 8)
        if (channel + lane < dim) rows[(first + r) * dim + channel + lane] = tile[lane][r];
}

// One run of keys as columns of a panel of logits, and among them those of the anchor's class.
struct Strip { i64 begin, end, same_begin, same_end, own; bool others; };

DEVICE Strip strip(const i64 *plan, i64 strips_at, i64 s, i64 type, i64 own) {
    const i64 *p = plan + strips_at + s * 5; // first column, first row, end row, whether others count, place of the class bounds
    Strip r;
    i64 low = plan[p[4] + type], high = plan[p[4] + type + 1];
    r.begin = p[0];
    r.end = p[0] + p[2] - p[1];
    r.same_begin = p[0] + min(max(low, p[1]), p[2]) - p[1];
    r.same_end = p[0] + min(max(high, p[1]), p[2]) - p[1];
    r.own = s == 0 && own >= p[1] && own < p[2] ? p[0] + own - p[1] : -1;
    r.others = p[3] != 0;
    return r;
}

DEVICE A block_max(A v) {
    __shared__ A parts[32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    for (int d = 16; d > 0; d >>= 1) v = max(v, __shfl_xor_sync(0xffffffffu, v, d));
    __syncthreads();
    if (lane == 0) parts[warp] = v;
    __syncthreads();
    v = parts[lane < (int)(blockDim.x >> 5) ? lane : 0];
    for (int d = 16; d > 0; d >>= 1) v = max(v, __shfl_xor_sync(0xffffffffu, v, d));
    return v;
}

// One block for each anchor's row of a panel of logits: its loss, and in place of the logits their gradient divided by `factors`.
// All keys:      loss = logsumexp(denominator) - mean(positives); gradient softmax - 1/|P| on the positives; factor 1/sum.
// Own positive:  loss = mean over positives of softplus(S - s), S = logsumexp(negatives); gradient -sigmoid(S - s)/|P| on the positives,
//                softmax * mean sigmoid on the negatives; factor mean sigmoid / sum.
// The panel holds cosines; logits are these divided by the temperature. Where they spread over less than `safe`, what none exceeds is
// subtracted instead of the row's maximum.
// `sums`: 4 numbers an anchor: loss, sum of positive logits, of negative logits (the fourth is contrast_scale's).
KERNEL contrast_panel(A *panel, const i64 *plan, const A *weights, A *factors, double *sums, const A *temperature, i64 anchor_at,
                      i64 classes_at, i64 own_at, i64 strips_at, i64 strips, i64 width, i64 own_positive, A safe) {
    A rate = 1 / *temperature, bound = 2 * rate <= safe ? rate : (A)0;
    i64 i = blockIdx.x, anchor = anchor_at + i;
    A *row = panel + i * width;
    i64 type = plan[classes_at + i], own = own_at < 0 ? -1 : plan[own_at + i];
    i64 positives = 0, negatives = 0;
    for (i64 s = 0; s < strips; s++) {
        Strip t = strip(plan, strips_at, s, type, own);
        positives += t.same_end - t.same_begin - (t.own >= t.same_begin && t.own < t.same_end ? 1 : 0);
        if (t.others) negatives += t.end - t.begin - (t.same_end - t.same_begin);
    }
    bool idle = positives == 0, alone = own_positive && negatives == 0;
    A shift = bound;
    if (!idle && !alone && bound == 0) {
        A largest = -1 / (A)0;
        for (i64 s = 0; s < strips; s++) {
            Strip t = strip(plan, strips_at, s, type, own);
            for (i64 j = t.begin + threadIdx.x; j < t.end; j += blockDim.x) {
                bool same = j >= t.same_begin && j < t.same_end;
                if (same ? !own_positive && j != t.own : t.others) largest = max(largest, row[j] * rate);
            }
        }
        shift = block_max(largest);
    }
    // the exponentials: of all that stands in every positive's denominator
    double total = 0, positive = 0, negative = 0;
    for (i64 s = 0; s < strips; s++) {
        Strip t = strip(plan, strips_at, s, type, own);
        A e_sum = 0, p_sum = 0, n_sum = 0;
        for (i64 j = t.begin + threadIdx.x; j < t.end; j += blockDim.x) {
            bool same = j >= t.same_begin && j < t.same_end;
            A x = row[j] * rate, e = 0;
            if (same && j != t.own && !idle) {
                p_sum += x;
                if (own_positive) continue; // its logit is still needed
            }
            if (!idle && !alone && (same ? j != t.own : t.others)) {
                e = exp(x - shift);
                e_sum += e;
                if (!same) n_sum += x;
            }
            if (!(own_positive && same)) row[j] = e;
        }
        total += (double)e_sum;
        positive += (double)p_sum;
        negative += (double)n_sum;
    }
    total = block_sum(total);
    positive = block_sum(positive);
    negative = block_sum(negative);
    double loss = 0, factor = 0, sigmoids = 0, count = (double)positives;
    A competition = 0, share = 0;
    if (own_positive) {
        if (!idle && !alone) competition = (A)((double)shift + log(total));
        double softplus = 0;
        for (i64 s = 0; s < strips; s++) {
            Strip t = strip(plan, strips_at, s, type, own);
            for (i64 j = t.same_begin + threadIdx.x; j < t.same_end; j += blockDim.x) {
                A y = 0;
                if (j != t.own && !idle && !alone) {
                    A d = competition - row[j] * rate, e = exp(d > 0 ? -d : d);
                    softplus += (double)((d > 0 ? d : (A)0) + log1p(e));
                    y = (d > 0 ? (A)1 : e) / (1 + e);
                    sigmoids += (double)y;
                }
                row[j] = y;
            }
        }
        loss = block_sum(softplus);
        sigmoids = block_sum(sigmoids);
        if (!idle && !alone) {
            loss /= count;
            factor = sigmoids / (count * total);
            share = (A)(sigmoids > 0 ? -total / sigmoids : 0);
        }
    } else if (!idle) {
        loss = (double)shift + log(total) - positive / count;
        factor = 1 / total;
        share = (A)(total / count);
    }
    // each thread changes what it wrote itself
    for (i64 s = 0; s < strips && !idle && !alone; s++) {
        Strip t = strip(plan, strips_at, s, type, own);
        i64 from = own_positive ? t.same_begin : t.begin;
        for (i64 j = from + threadIdx.x; j < t.same_end; j += blockDim.x) {
            if (j < t.same_begin || j == t.own) continue;
            row[j] = own_positive ? row[j] * share : row[j] - share;
        }
    }
    if (threadIdx.x == 0) {
        double weight = weights[anchor];
        factors[i] = (A)(weight * factor * rate);
        sums[anchor * 4] = weight * loss;
        sums[anchor * 4 + 1] = positive;
        sums[anchor * 4 + 2] = negative;
        sums[anchor * 4 + 3] = 0;
    }
}

// One warp an anchor: its row times its factor (for the keys' gradient); its own gradient times the factor, added to the pool's
// (null: not wanted); gradient times logit, summed over its pairs.
KERNEL contrast_scale(const A *rows, const A *factors, const A *slopes, A *scaled, A *gradient, double *sums, i64 anchor_at, i64 row_at,
                      i64 count, i64 dim) {
    i64 i = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    int lane = threadIdx.x & 31;
    if (i >= count) return;
    A factor = factors[i];
    double dot = 0;
    for (i64 d = lane; d < dim; d += 32) {
        A x = rows[(row_at + i) * dim + d];
        scaled[i * dim + d] = x * factor;
        A g = slopes[i * dim + d] * factor;
        dot += (double)g * x;
        if (gradient) gradient[(row_at + i) * dim + d] += g;
    }
    dot = warp_sum(dot);
    if (lane == 0) sums[(anchor_at + i) * 4 + 3] = dot;
}

// One block: the sums over all anchors, always in the same order. `facts`: mean positive logit, mean negative logit, slope of the loss
// by the temperature. `base` 0: the loss is not scaled. A temperature that is not above 0 makes the loss NaN.
KERNEL contrast_finish(const double *sums, const A *temperature, A *loss, double *facts, i64 anchors, i64 positives, i64 negatives,
                       A base) {
    double total[4] = {0, 0, 0, 0};
    for (i64 i = threadIdx.x; i < anchors; i += blockDim.x)
        for (int k = 0; k < 4; k++) total[k] += sums[i * 4 + k];
    for (int k = 0; k < 4; k++) total[k] = block_sum(total[k]);
    if (threadIdx.x == 0) {
        double tau = *temperature, factor = base > 0 ? tau / base : 1;
        loss[0] = (A)(tau > 0 && tau - tau == 0 ? factor * total[0] : sqrt(-1.0));
        facts[0] = positives > 0 ? total[1] / positives : 0;
        facts[1] = negatives > 0 ? total[2] / negatives : 0;
        facts[2] = -factor * total[3] / tau + (base > 0 ? total[0] / base : 0);
    }
}

// One warp a row: what the gradient with respect to a unit row has along the row itself.
KERNEL contrast_along(const A *gradient, const A *rows, A *along, i64 n, i64 dim) {
    i64 i = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    int lane = threadIdx.x & 31;
    if (i >= n) return;
    double dot = 0;
    for (i64 d = lane; d < dim; d += 32) dot += (double)gradient[i * dim + d] * rows[i * dim + d];
    dot = warp_sum(dot);
    if (lane == 0) along[i] = (A)dot;
}

// Add to the map's gradient that before normalising, `(g - f (f . g)) / norm`, times temperature / base. Grid as contrast_rows. A pixel is
// named once, so that no two threads add to the same element.
KERNEL contrast_to_map(const A *gradient, const A *rows, const A *along, const A *inverse, const i64 *plan, const A *temperature, T *map,
                       i64 pixels_at, i64 n, i64 dim, i64 area, A base) {
    __shared__ A tile[32][33];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    i64 first = (i64)blockIdx.x * 32, channel = (i64)blockIdx.y * 32, row = first + lane;
    for (int r = warp; r < 32 && first + r < n; r += 8) {
        i64 at = (first + r) * dim + channel + lane;
        if (channel + lane < dim) tile[lane][r] = gradient[at] - rows[at] * along[first + r];
    }
    __syncthreads();
    if (row < n) {
        i64 pixel = plan[pixels_at + row];
        A factor = (base > 0 ? *temperature / base : (A)1) * inverse[row];
        for (int d = warp; d < 32 && channel + d < dim; d += 8) {
            i64 at = element(pixel, channel + d, dim, area);
            map[at] = put(get(map[at]) + tile[d][lane] * factor);
        }
    }
}
