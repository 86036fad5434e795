// The rectifier; NaN passes through, as on the processor.

DEVICE T relu_of(T v) { return get(v) < 0 ? put(0) : v; }
DEVICE T relu_gradient(T y, T d) { return get(y) <= 0 ? put(0) : d; }

KERNEL relu_forward(const T *x, T *y, i64 n) {
    if (packed(n, x, y)) {
        for EACH(i, n / LANES) {
            Pack p = ((const Pack *)x)[i];
            for (int k = 0; k < LANES; k++) p.v[k] = relu_of(p.v[k]);
            ((Pack *)y)[i] = p;
        }
    } else {
        for EACH(i, n) y[i] = relu_of(x[i]);
    }
}

KERNEL relu_backward(const T *y, const T *dy, T *dx, i64 n) {
    if (packed(n, y, dy, dx)) {
        for EACH(i, n / LANES) {
            Pack p = ((const Pack *)y)[i], d = ((const Pack *)dy)[i];
            for (int k = 0; k < LANES; k++) p.v[k] = relu_gradient(p.v[k], d.v[k]);
            ((Pack *)dx)[i] = p;
        }
    } else {
        for EACH(i, n) dx[i] = relu_gradient(y[i], dy[i]);
    }
}
