// One launch over all parameters. `table` has ROW numbers a parameter: the addresses of the parameter, its gradient and the two
// tensors kept for it (0 where there is none), and its length. `pieces` has two numbers a block: its parameter, its first element.

#define ROW 5
#define PIECE 16384

// The range of elements of this block, and its parameter's row.
DEVICE const i64 *piece(const i64 *table, const i64 *pieces, i64 *parameter, i64 *first, i64 *end) {
    *parameter = pieces[blockIdx.x * 2];
    *first = pieces[blockIdx.x * 2 + 1];
    const i64 *row = table + *parameter * ROW;
    *end = min(*first + PIECE, row[4]);
    return row;
}

KERNEL optimizer_squares(const i64 *table, const i64 *pieces, double *parts) {
    i64 parameter, first, end;
    const T *g = (const T *)piece(table, pieces, &parameter, &first, &end)[1];
    double sum = 0;
    for (i64 i = first + threadIdx.x; i < end; i += blockDim.x) {
        double v = get(g[i]);
        sum += v * v;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// One block: the sum over all parts to place `slot`.
KERNEL optimizer_sum(const double *parts, double *totals, i64 count, i64 slot) {
    double sum = 0;
    for EACH(i, count) sum += parts[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) totals[slot] = sum;
}

// One thread: judge a step by its loss and the sums of squares of its gradients (`count` of them). `guard[0]` becomes 1 if one is not
// finite and stays so: neither this step nor those after it are made. `guard[1]` is the factor that holds the gradients' norm at
// `most` (0: no bound).
KERNEL optimizer_judge(const double *totals, const double *loss, double *norm, double *guard, i64 count, A most) {
    if (threadIdx.x != 0) return;
    double sum = 0;
    for (i64 i = 0; i < count; i++) sum += totals[i];
    double n = sqrt(sum);
    *norm = n;
    if (n - n != 0 || *loss - *loss != 0) guard[0] = 1;
    guard[1] = most > 0 ? min(1.0, (double)most / (n + 1e-6)) : 1.0;
}

// `numbers`: learning rate and weight decay of each parameter.
KERNEL optimizer_sgd(const i64 *table, const i64 *pieces, const double *numbers, const double *guard, i64 nesterov, A momentum) {
    if (guard[0] != 0) return;
    i64 parameter, first, end;
    const i64 *row = piece(table, pieces, &parameter, &first, &end);
    T *p = (T *)row[0], *v = (T *)row[2];
    const T *g = (const T *)row[1];
    A scale = (A)guard[1], lr = (A)numbers[parameter * 2], decay = (A)numbers[parameter * 2 + 1];
    for (i64 i = first + threadIdx.x; i < end; i += blockDim.x) {
        A at = get(p[i]), d = get(g[i]) * scale + decay * at;
        if (v) {
            A speed = momentum * get(v[i]) + d;
            v[i] = put(speed);
            d = nesterov ? d + momentum * speed : speed;
        }
        p[i] = put(at - lr * d);
    }
}

// `numbers`: lr / (1 - beta1^t) and 1 - lr weight_decay of each parameter; `root` is sqrt(1 - beta2^t), `new1` is 1 - beta1.
KERNEL optimizer_adamw(const i64 *table, const i64 *pieces, const double *numbers, const double *guard, A new1, A beta2, A new2, A eps,
                       A root) {
    if (guard[0] != 0) return;
    i64 parameter, first, end;
    const i64 *row = piece(table, pieces, &parameter, &first, &end);
    T *p = (T *)row[0], *m = (T *)row[2], *s = (T *)row[3];
    const T *g = (const T *)row[1];
    A scale = (A)guard[1], size = (A)numbers[parameter * 2], keep = (A)numbers[parameter * 2 + 1];
    for (i64 i = first + threadIdx.x; i < end; i += blockDim.x) {
        A d = get(g[i]) * scale, mean = get(m[i]), square = beta2 * get(s[i]) + new2 * d * d;
        mean += new1 * (d - mean);
        m[i] = put(mean);
        s[i] = put(square);
        p[i] = put(get(p[i]) * keep - size * mean / (sqrt(square) / root + eps));
    }
}

// A running average: what stands first in the row moves towards what stands second.
KERNEL optimizer_average(const i64 *table, const i64 *pieces, A keep, A added) {
    i64 parameter, first, end;
    const i64 *row = piece(table, pieces, &parameter, &first, &end);
    T *average = (T *)row[0];
    const T *now = (const T *)row[1];
    for (i64 i = first + threadIdx.x; i < end; i += blockDim.x) average[i] = put(keep * get(average[i]) + added * get(now[i]));
}

// Copy what stands second in the row to what stands first; with a guard only after a step that was not made.
KERNEL optimizer_copy(const i64 *table, const i64 *pieces, const double *guard) {
    if (guard && guard[0] == 0) return;
    i64 parameter, first, end;
    const i64 *row = piece(table, pieces, &parameter, &first, &end);
    T *to = (T *)row[0];
    const T *from = (const T *)row[1];
    for (i64 i = first + threadIdx.x; i < end; i += blockDim.x) to[i] = from[i];
}
