// Runs kernels on the processor, so that their arithmetic is tested where there is no GPU: one block after the other, the
// threads of a block as fibers that take turns at barriers and warp shuffles. Included before prelude.cuh.
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <vector>

struct dim3_ { unsigned x, y, z; };
static dim3_ threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __shared__ static
#define __align__(n) alignas(n)
#define __launch_bounds__(...)
#define __constant__ static

struct Fiber {
    ucontext_t context; // for its first turn; after that `jump`, which makes no system call
    jmp_buf jump;
    char *stack;
    bool started, done;
    dim3_ at;
    unsigned long long slot;
};
static std::vector<Fiber> fibers;
static jmp_buf scheduler;
static int current;
static int alive;

static void turn() {
    if (!_setjmp(fibers[current].jump)) _longjmp(scheduler, 1);
}
static void resume(int i) {
    if (_setjmp(scheduler)) return;
    if (fibers[i].started) _longjmp(fibers[i].jump, 1);
    fibers[i].started = true;
    setcontext(&fibers[i].context);
}

// Where the threads of a block or a warp wait for one another. A thread that has ended counts as having arrived, as on the GPU.
struct Meeting { int waiting, alive; unsigned held; };
static Meeting block_meeting, warp_meetings[32];

static void hold(Meeting &m) {
    m.waiting = 0;
    m.held++;
}
static void wait_at(Meeting &m) {
    unsigned held = m.held;
    if (++m.waiting >= m.alive) return hold(m);
    while (m.held == held) turn();
}
static void leave(Meeting &m) {
    if (--m.alive > 0 && m.waiting >= m.alive) hold(m);
}
static void __syncthreads() { wait_at(block_meeting); }
static void __syncwarp(unsigned = 0xffffffffu) { wait_at(warp_meetings[current / 32]); }
template <typename V> static V shuffle(V v, int lane) {
    memcpy(&fibers[current].slot, &v, sizeof v);
    __syncwarp();
    int first = current & ~31, from = first + (lane & 31);
    V r = v;
    if (from < (int)fibers.size()) memcpy(&r, &fibers[from].slot, sizeof r);
    __syncwarp();
    return r;
}
template <typename V> static V __shfl_sync(unsigned, V v, int lane, int = 32) { return shuffle(v, lane); }
template <typename V> static V __shfl_xor_sync(unsigned, V v, int mask, int = 32) { return shuffle(v, (current & 31) ^ mask); }
template <typename V> static V __shfl_down_sync(unsigned, V v, unsigned d, int = 32) {
    int lane = (current & 31) + (int)d;
    return shuffle(v, lane < 32 ? lane : current & 31);
}
template <typename V> static V __shfl_up_sync(unsigned, V v, unsigned d, int = 32) {
    int lane = (current & 31) - (int)d;
    return shuffle(v, lane >= 0 ? lane : current & 31);
}
static unsigned __ballot_sync(unsigned, int predicate) {
    fibers[current].slot = predicate != 0;
    __syncwarp();
    unsigned bits = 0;
    int first = current & ~31;
    for (int i = 0; i < 32 && first + i < (int)fibers.size(); i++)
        if (!fibers[first + i].done && fibers[first + i].slot) bits |= 1u << i;
    __syncwarp();
    return bits;
}

template <typename V> static V atomicAdd(V *p, V v) { V old = *p; *p = old + v; return old; }
template <typename V> static V atomicMax(V *p, V v) { V old = *p; if (v > old) *p = v; return old; }
template <typename V> static V __ldg(const V *p) { return *p; }
static void __threadfence() {}

static float __uint_as_float(unsigned v) { float r; memcpy(&r, &v, 4); return r; }
static unsigned __float_as_uint(float v) { unsigned r; memcpy(&r, &v, 4); return r; }
static float __int_as_float(int v) { float r; memcpy(&r, &v, 4); return r; }
static int __float_as_int(float v) { int r; memcpy(&r, &v, 4); return r; }
// glibc has functions of these names
#define __expf(v) expf(v)
#define __logf(v) logf(v)
static float rsqrtf(float v) { return 1.0f / sqrtf(v); }
static double rsqrt(double v) { return 1.0 / sqrt(v); }
static unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }
template <typename V> static V min(V a, V b) { return b < a ? b : a; }
template <typename V> static V max(V a, V b) { return a < b ? b : a; }

// ---- running a grid ----

struct Job {
    void (*run)(const Job *);
    const unsigned long long *values;
};
static const Job *job;

// A fiber serves one block after the other.
static void fiber_main() {
    for (;;) {
        job->run(job);
        fibers[current].done = true;
        alive--;
        leave(block_meeting);
        leave(warp_meetings[current / 32]);
        turn();
    }
}

template <typename P> static P argument(const unsigned long long *values, int at) {
    P p;
    memcpy(&p, &values[at], sizeof p);
    return p;
}
template <int... I> struct Places {};
template <int N, int... I> struct Make : Make<N - 1, N - 1, I...> {};
template <int... I> struct Make<0, I...> { typedef Places<I...> type; };

template <typename... P, int... I> static void call(void (*kernel)(P...), const Job *j, Places<I...>) {
    kernel(argument<P>(j->values, I)...);
}
// The number of arguments given must be that of the kernel.
template <typename... P> static int arity(void (*)(P...)) { return (int)sizeof...(P); }
template <typename... P> static void invoke(void (*kernel)(P...), const Job *j) {
    call(kernel, j, typename Make<(int)sizeof...(P)>::type());
}

static void run_grid(const Job *j, const unsigned *grid, const unsigned *block) {
    const size_t STACK = 64 * 1024;
    fibers.reserve(1024); // contexts must not move
    job = j;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    int threads = (int)(block[0] * block[1] * block[2]);
    while (fibers.size() > (size_t)threads) { free(fibers.back().stack); fibers.pop_back(); }
    while (fibers.size() < (size_t)threads) {
        Fiber f;
        memset(&f, 0, sizeof f);
        f.stack = (char *)malloc(STACK);
        fibers.push_back(f);
        Fiber &made = fibers.back();
        getcontext(&made.context);
        made.context.uc_stack.ss_sp = made.stack;
        made.context.uc_stack.ss_size = STACK;
        makecontext(&made.context, fiber_main, 0);
    }
    for (unsigned z = 0; z < grid[2]; z++) for (unsigned y = 0; y < grid[1]; y++) for (unsigned x = 0; x < grid[0]; x++) {
        blockIdx = {x, y, z};
        for (int i = 0; i < threads; i++) {
            Fiber &f = fibers[i];
            f.done = false;
            f.at = {i % block[0], i / block[0] % block[1], i / (block[0] * block[1])};
        }
        alive = threads;
        block_meeting = {0, threads, 0};
        for (int warp = 0; warp * 32 < threads; warp++) warp_meetings[warp] = {0, min(32, threads - warp * 32), 0};
        while (alive > 0) {
            for (int i = 0; i < threads; i++) {
                if (fibers[i].done) continue;
                current = i;
                threadIdx = fibers[i].at;
                resume(i);
            }
        }
    }
}

// One entry a kernel: returns the number of arguments it takes if `count` differs, else 0.
#define EMULATED(kernel) \
    static void run_##kernel(const Job *j) { invoke(kernel, j); } \
    extern "C" int emulated_##kernel(const unsigned long long *values, int count, const unsigned *grid, const unsigned *block) { \
        if (count != arity(kernel)) return arity(kernel); \
        Job j = {run_##kernel, values}; \
        run_grid(&j, grid, block); \
        return 0; \
    }
