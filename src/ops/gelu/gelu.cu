// The Gaussian error linear unit: x P(x) with the normal distribution function P.

DEVICE A distribution(A x) { return (A)0.5 * erfc(-x * (A)0.70710678118654752440); }

KERNEL gelu_forward(const T *x, T *y, i64 n) {
    for EACH(i, n) {
        A v = get(x[i]);
        y[i] = put(v * distribution(v));
    }
}

// dy (P(x) + x p(x)) with the density p.
KERNEL gelu_backward(const T *x, const T *dy, T *dx, i64 n) {
    for EACH(i, n) {
        A v = get(x[i]), density = (A)0.39894228040143267794 * exp((A)-0.5 * v * v);
        dx[i] = put(get(dy[i]) * (distribution(v) + v * density));
    }
}
