// Stands before every kernel source, on the GPU and in the emulator (emulator.h). Restricted C++: no headers, no libraries.
//
// REAL says how the elements of a map are stored: 64 (double), 32 (float) or 16 (bfloat16).
//   T   an element in memory             A   the type it is computed in: double for double, else float
//   get(T) -> A, put(A) -> T             Pack: 16 bytes of T, LANES of them
// Integer arguments of a kernel are all `i64`, real ones all `A`; pointers may be null where the host says so.

// not every kernel uses everything below
#pragma nv_diag_suppress 177

typedef long long i64;
typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define KERNEL extern "C" __global__ void
#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__

#if REAL == 64
typedef double T;
typedef double A;
DEVICE A get(T v) { return v; }
DEVICE T put(A v) { return v; }
#elif REAL == 32
typedef float T;
typedef float A;
DEVICE A get(T v) { return v; }
DEVICE T put(A v) { return v; }
#else
struct T { u16 bits; };
typedef float A;
DEVICE A get(T v) { return __uint_as_float((u32)v.bits << 16); }
// to the nearest, ties to even; NaN stays NaN
DEVICE T put(A v) {
    T r;
    u32 b = __float_as_uint(v);
    r.bits = v != v ? 0x7fff : (u16)((b + 0x7fff + ((b >> 16) & 1)) >> 16);
    return r;
}
#endif

#define LANES (16 / (int)sizeof(T))
struct __align__(16) Pack { T v[LANES]; };

// Whether `n` elements at each of these places (null allowed) may be moved as packs.
DEVICE bool packed(i64 n, const void *a, const void *b = 0, const void *c = 0, const void *d = 0) {
    return n % LANES == 0 && (((u64)a | (u64)b | (u64)c | (u64)d) & 15) == 0;
}

// for every i of 0..n, shared out over the threads of the whole grid (1 dimension)
#define EACH(i, n) (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (i64)gridDim.x * blockDim.x)

// The sum over the 32 threads of a warp; all get it.
template <typename V> DEVICE V warp_sum(V v) {
    for (int d = 16; d > 0; d >>= 1) v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}

// The sum over a block of one dimension, a multiple of 32 threads; all get it, always added in the same order.
template <typename V> DEVICE V block_sum(V v) {
    __shared__ V parts[32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    v = warp_sum(v);
    __syncthreads();
    if (lane == 0) parts[warp] = v;
    __syncthreads();
    return warp_sum(lane < (int)(blockDim.x >> 5) ? parts[lane] : V(0));
}

// ---- maps with the channels last: matrices of rows (pixels) and channels ----

// W neighbouring channels.
template <int W> struct alignas(W * sizeof(T)) Few { T v[W]; };

// How blocks of 256 threads share out a matrix: `across` threads (a power of two, at most 32) stand side by side, each with W channels, and
// 256 / across rows are read at a time; blockIdx.y counts sets of columns, blockIdx.x shares of the rows.
template <int W> struct Share {
    i64 channels;
    u32 across, column, row, step;
    DEVICE_MEMBER Share(i64 channels, i64 across) : channels(channels), across((u32)across) {
        column = blockIdx.y * this->across + (threadIdx.x & (this->across - 1));
        row = blockIdx.x * (256 / this->across) + threadIdx.x / this->across;
        step = gridDim.x * (256 / this->across);
    }
    // whether this thread has channels, and the first of them
    DEVICE_MEMBER bool inside() const { return (i64)column * W < channels; }
    DEVICE_MEMBER i64 channel() const { return (i64)column * W; }
    DEVICE_MEMBER Few<W> load(const T *x, u32 r) const { return *(const Few<W> *)(x + (i64)r * channels + channel()); }
    DEVICE_MEMBER void store(T *x, u32 r, Few<W> v) const { *(Few<W> *)(x + (i64)r * channels + channel()) = v; }
};

// W numbers, one a channel, from a buffer of our own (its start is a multiple of 16 bytes, `at` one of W).
template <int W> DEVICE void numbers(const A *from, i64 at, A (&to)[W]) {
    if (W * sizeof(A) % 16 == 0) {
        const int EACH_LOAD = 16 / (int)sizeof(A);
        struct alignas(16) Some { A v[EACH_LOAD]; };
        for (int i = 0; i < W / EACH_LOAD; i++) {
            Some some = ((const Some *)(from + at))[i];
            for (int k = 0; k < EACH_LOAD; k++) to[i * EACH_LOAD + k] = some.v[k];
        }
    } else {
        for (int k = 0; k < W; k++) to[k] = from[at + k];
    }
}

// W sums as elements.
template <int W> DEVICE void store(const A (&sum)[W], T *to) {
    Few<W> p;
    for (int k = 0; k < W; k++) p.v[k] = put(sum[k]);
    *(Few<W> *)to = p;
}

// Which W channels of which pixel of maps h x w thread `i` has.
template <int W> struct Place {
    u32 image, v, u, c;
    DEVICE_MEMBER Place(u32 i, u32 channels, u32 h, u32 w) {
        u32 pixel = i / (channels / W), row = pixel / w;
        c = (i - pixel * (channels / W)) * W;
        image = row / h;
        v = row - image * h;
        u = pixel - row * w;
    }
};

// The sums of N values over the threads of a block that share their columns, always added in the same order: call `column_sums`, then
// `column_sum` for value k of column `column` of the block.
template <int N> struct Sums { A of[N][8][32]; };
template <int N> DEVICE void column_sums(Sums<N> *sums, A (&v)[N], u32 across) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    for (int k = 0; k < N; k++) {
        for (u32 d = 16; d >= across; d >>= 1) v[k] += __shfl_xor_sync(0xffffffffu, v[k], d);
        if (lane < (int)across) sums->of[k][warp][lane] = v[k];
    }
    __syncthreads();
}
template <int N> DEVICE double column_sum(const Sums<N> *sums, int k, int column) {
    double sum = 0;
    for (int warp = 0; warp < 8; warp++) sum += sums->of[k][warp][column];
    return sum;
}
