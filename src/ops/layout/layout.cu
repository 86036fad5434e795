// From channels first, [n, c, area], to channels last, [n, area, c], and back; weights likewise. What is outside a network has the type A,
// what is inside T.

// One tile of 32 x 32 of matrices [rows, columns], which become [columns, rows], by a block of 256 threads; blockIdx.z counts matrices.
template <typename From, typename To, typename Turn> DEVICE void turn(const From *x, To *y, i64 rows, i64 columns, Turn convert) {
    __shared__ To tile[32][33];
    u32 across = (u32)((columns + 31) / 32);
    i64 row = (i64)(blockIdx.x / across) * 32, column = (i64)(blockIdx.x % across) * 32, image = (i64)blockIdx.z * rows * columns;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    for (int r = warp; r < 32; r += 8)
        if (row + r < rows && column + lane < columns) tile[r][lane] = convert(x[image + (row + r) * columns + column + lane]);
    __syncthreads();
    for (int r = warp; r < 32; r += 8)
        if (column + r < columns && row + lane < rows) y[image + (column + r) * rows + row + lane] = tile[lane][r];
}

// Channels first -> channels last.
KERNEL layout_enter(const A *x, T *y, i64 rows, i64 columns) {
    turn<A, T>(x, y, rows, columns, [](A v) { return put(v); });
}

// The way back.
KERNEL layout_leave(const T *x, A *y, i64 rows, i64 columns) {
    turn<T, A>(x, y, rows, columns, [](T v) { return get(v); });
}

// Between the two types, element by element.
KERNEL layout_round(const A *x, T *y, i64 n) {
    if (packed(n, x, y)) {
        for EACH(i, n / LANES) {
            A v[LANES];
            numbers<LANES>(x, i * LANES, v);
            store<LANES>(v, y + i * LANES);
        }
    } else {
        for EACH(i, n) y[i] = put(x[i]);
    }
}

KERNEL layout_widen(const T *x, A *y, i64 n) {
    if (packed(n, x, y)) {
        for EACH(i, n / LANES) {
            Pack p = ((const Pack *)x)[i];
            for (int k = 0; k < LANES; k++) y[i * LANES + k] = get(p.v[k]);
        }
    } else {
        for EACH(i, n) y[i] = get(x[i]);
    }
}

// Matrices [rows, columns] of `n` elements in all -> [columns, rows], as elements of a map.
KERNEL layout_pack(const A *weight, T *packed, i64 n, i64 rows, i64 columns) {
    for EACH(i, n) {
        u32 matrix = (u32)i / (u32)(rows * columns), at = (u32)i % (u32)(rows * columns);
        u32 column = at / (u32)rows, row = at % (u32)rows;
        packed[i] = put(weight[((i64)matrix * rows + row) * columns + column]);
    }
}

// The way back.
KERNEL layout_unpack(const T *packed, A *weight, i64 n, i64 rows, i64 columns) {
    for EACH(i, n) {
        u32 matrix = (u32)i / (u32)(rows * columns), at = (u32)i % (u32)(rows * columns);
        u32 row = at / (u32)columns, column = at % (u32)columns;
        weight[i] = get(packed[((i64)matrix * columns + column) * rows + row]);
    }
}
