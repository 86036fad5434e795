// Cross-entropy of logits [images, classes, area] and labels [images, area]: one thread a pixel, neighbouring threads neighbouring
// pixels. Sums over pixels in double, in one order. A label that is no class counts as stray and turns the loss into NaN.

// Each block: the weight of its pixels that count, its stray labels, its weighted loss. Each pixel: logsumexp of its logits, and
// where the losses are `mapped` its own.
KERNEL cross_entropy_forward(const T *logits, const i64 *labels, const double *weights, A *totals, double *parts, A *map, i64 pixels,
                             i64 classes, i64 area, i64 ignore, i64 mapped, A smoothing) {
    double weight = 0, strays = 0, loss = 0;
    for EACH(i, pixels) {
        const T *at = logits + i / area * classes * area + i % area;
        A most = get(at[0]), sum = 1;
        for (i64 c = 1; c < classes; c++) {
            A v = get(at[c * area]);
            if (v > most) {
                sum = sum * exp(most - v) + 1;
                most = v;
            } else {
                sum += exp(v - most);
            }
        }
        A total = most + log(sum);
        totals[i] = total;
        i64 y = labels[i];
        if (mapped) map[i] = 0;
        if (y == ignore) continue;
        if (y < 0 || y >= classes) {
            strays += 1;
            if (mapped) map[i] = sqrt((A)-1); // NaN
            continue;
        }
        weight += weights[y];
        double pixel = (1 - (double)smoothing) * weights[y] * (double)(total - get(at[y * area]));
        if (smoothing > 0) {
            double all = 0;
            for (i64 c = 0; c < classes; c++) all += weights[c] * (double)(total - get(at[c * area]));
            pixel += (double)smoothing / classes * all;
        }
        loss += pixel;
        if (mapped) map[i] = (A)pixel;
    }
    weight = block_sum(weight);
    strays = block_sum(strays);
    loss = block_sum(loss);
    if (threadIdx.x == 0) {
        double *to = parts + blockIdx.x * 3;
        to[0] = weight;
        to[1] = strays;
        to[2] = loss;
    }
}

// One block: the sum or mean of the losses, and the factor of every pixel in it.
KERNEL cross_entropy_finish(const double *parts, A *loss, A *factor, i64 count, i64 mean) {
    double weight = 0, strays = 0, sum = 0;
    for EACH(i, count) {
        weight += parts[i * 3];
        strays += parts[i * 3 + 1];
        sum += parts[i * 3 + 2];
    }
    weight = block_sum(weight);
    strays = block_sum(strays);
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        double f = !mean ? 1 : weight > 0 ? 1 / weight : 0;
        if (strays > 0) f = sqrt(-strays); // NaN
        *factor = (A)f;
        *loss = (A)(f * sum);
    }
}

// d class c = (S softmax_c - b_c - a [c = y]) factor upstream (of the pixel, where the losses are `mapped`) with a = (1 - s) w_y, b_c = s / C w_c, S = a + sum b.
KERNEL cross_entropy_backward(const T *logits, const i64 *labels, const double *weights, const A *totals, const A *factor,
                              const A *upstream, T *gradient, i64 pixels, i64 classes, i64 area, i64 ignore, i64 mapped, A smoothing,
                              A weight_sum) {
    A spread = smoothing / (A)classes;
    for EACH(i, pixels) {
        i64 first = i / area * classes * area + i % area, y = labels[i];
        bool counts = y != ignore && y >= 0 && y < classes;
        A f = *factor * upstream[mapped ? i : 0];
        A own = counts ? (1 - smoothing) * (A)weights[y] : (A)0, total = totals[i];
        A whole = counts ? own + spread * weight_sum : (A)0;
        for (i64 c = 0; c < classes; c++) {
            A d = 0;
            if (counts) {
                d = whole * exp(get(logits[first + c * area]) - total) - spread * (A)weights[c];
                if (c == y) d -= own;
            }
            gradient[first + c * area] = put(d * f);
        }
    }
}
