// The softmax over the rows of a matrix of scores, one warp a row.

DEVICE A warp_max(A v) {
    for (int d = 16; d > 0; d >>= 1) v = max(v, __shfl_xor_sync(0xffffffffu, v, d));
    return v;
}

// `softmax(factor x)` of each row of `columns` elements.
KERNEL attention_softmax(const T *scores, T *weights, i64 rows, i64 columns, A factor) {
    i64 row = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= rows) return; // the whole warp
    int lane = threadIdx.x & 31;
    const T *x = scores + row * columns;
    A most = get(x[0]), sum = 0;
    for (i64 j = lane; j < columns; j += 32) most = max(most, get(x[j]));
    most = warp_max(most);
    for (i64 j = lane; j < columns; j += 32) sum += exp((get(x[j]) - most) * factor);
    A share = 1 / warp_sum(sum);
    for (i64 j = lane; j < columns; j += 32) weights[row * columns + j] = put(exp((get(x[j]) - most) * factor) * share);
}

// `factor p (dp - sum p dp)`, row by row: the gradient of the scores from that of the weights p.
KERNEL attention_softmax_backward(const T *weights, const T *dweights, T *dscores, i64 rows, i64 columns, A factor) {
    i64 row = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= rows) return;
    int lane = threadIdx.x & 31;
    const T *p = weights + row * columns, *d = dweights + row * columns;
    A mean = 0;
    for (i64 j = lane; j < columns; j += 32) mean += get(p[j]) * get(d[j]);
    mean = warp_sum(mean);
    for (i64 j = lane; j < columns; j += 32) dscores[row * columns + j] = put(factor * get(p[j]) * (get(d[j]) - mean));
}
