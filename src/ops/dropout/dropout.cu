// Dropout: the mask is drawn on the host, so that one seed gives the same mask on every device.

KERNEL dropout(const T *x, const u8 *kept, T *y, i64 n, A scale) {
    for EACH(i, n) y[i] = kept[i] ? put(get(x[i]) * scale) : put(0);
}
