// A branch added to what went around it, with a factor for every image of `each` elements.

KERNEL residual_forward(const T *x, const T *branch, const A *factors, T *y, i64 n, i64 each) {
    for EACH(i, n) y[i] = put(get(x[i]) + factors[i / each] * get(branch[i]));
}

KERNEL residual_backward(const T *dy, const A *factors, T *dx, i64 n, i64 each) {
    for EACH(i, n) dx[i] = put(factors[i / each] * get(dy[i]));
}
