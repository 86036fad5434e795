// Joining: rows of `width` elements go to or come from rows of `whole`, beginning at `start`.

KERNEL concat_forward(const T *part, T *joined, i64 n, i64 width, i64 whole, i64 start) {
    if (packed(width, part, joined) && whole % LANES == 0 && start % LANES == 0) {
        i64 w = width / LANES;
        for EACH(i, n / LANES) ((Pack *)joined)[i / w * (whole / LANES) + start / LANES + i % w] = ((const Pack *)part)[i];
    } else {
        for EACH(i, n) joined[i / width * whole + start + i % width] = part[i];
    }
}

KERNEL concat_backward(const T *joined, T *part, i64 n, i64 width, i64 whole, i64 start) {
    if (packed(width, part, joined) && whole % LANES == 0 && start % LANES == 0) {
        i64 w = width / LANES;
        for EACH(i, n / LANES) ((Pack *)part)[i] = ((const Pack *)joined)[i / w * (whole / LANES) + start / LANES + i % w];
    } else {
        for EACH(i, n) part[i] = joined[i / width * whole + start + i % width];
    }
}
