// Unit vectors over [outer, length, inner]. Where the vectors lie one beside another (inner > 1) one thread takes a whole vector, so that
// neighbouring threads read neighbouring elements; where a vector's elements lie side by side (inner = 1) a warp takes it.

// The index of this thread's first vector, the step to its next, and its place among the threads that share one.
DEVICE void share_out(i64 inner, i64 *first, i64 *step, i64 *lane, i64 *lanes) {
    i64 thread = (i64)blockIdx.x * blockDim.x + threadIdx.x, threads = (i64)gridDim.x * blockDim.x;
    *lanes = inner == 1 ? 32 : 1;
    *first = thread / *lanes;
    *step = threads / *lanes;
    *lane = thread % *lanes;
}

KERNEL normalize_forward(const T *x, T *y, A *lengths, i64 vectors, i64 length, i64 inner, A eps) {
    i64 v, step, lane, lanes;
    share_out(inner, &v, &step, &lane, &lanes);
    for (; v < vectors; v += step) {
        i64 at = v / inner * length * inner + v % inner;
        A sum = 0;
        for (i64 i = lane; i < length; i += lanes) {
            A e = get(x[at + i * inner]);
            sum += e * e;
        }
        if (lanes > 1) sum = warp_sum(sum);
        A norm = sqrt(sum);
        if (norm < eps) norm = eps; // not max(): NaN passes through
        if (lane == 0) lengths[v] = norm;
        for (i64 i = lane; i < length; i += lanes) y[at + i * inner] = put(get(x[at + i * inner]) / norm);
    }
}

// (dy - y (y . dy)) / length with y = x / length, or dy / eps where the length was cut off.
KERNEL normalize_backward(const T *x, const T *dy, const A *lengths, T *dx, i64 vectors, i64 length, i64 inner, A eps) {
    i64 v, step, lane, lanes;
    share_out(inner, &v, &step, &lane, &lanes);
    for (; v < vectors; v += step) {
        i64 at = v / inner * length * inner + v % inner;
        A dot = 0, norm = lengths[v];
        for (i64 i = lane; i < length; i += lanes) dot += get(x[at + i * inner]) / norm * get(dy[at + i * inner]);
        if (lanes > 1) dot = warp_sum(dot);
        if (norm <= eps) dot = 0;
        for (i64 i = lane; i < length; i += lanes) {
            i64 e = at + i * inner;
            dx[e] = put((get(dy[e]) - get(x[e]) / norm * dot) / norm);
        }
    }
}
