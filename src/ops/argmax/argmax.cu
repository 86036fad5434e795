// From logits to label maps, and counting them against the truth; all in whole numbers or element by element, so that order plays no part.

struct Tap { i64 low, high; A part; };

// The two inputs that output i of a side lies between and the weight of the second, as PyTorch's interpolate.
DEVICE Tap tap(i64 i, i64 from, i64 to, i64 corners) {
    double at;
    if (corners) {
        at = to == 1 ? 0.0 : (double)i * ((double)(from - 1) / (double)(to - 1));
    } else {
        at = ((double)i + 0.5) * ((double)from / (double)to) - 0.5;
        if (at < 0) at = 0;
    }
    Tap t;
    t.low = min((i64)at, from - 1);
    t.high = min(t.low + 1, from - 1);
    t.part = (A)(at - (double)t.low);
    return t;
}

// The class of the largest logit at each of height x width positions of maps [images, classes, h, w]; of equal ones the lowest.
KERNEL argmax_upsampled(const T *logits, u8 *labels, i64 images, i64 classes, i64 h, i64 w, i64 height, i64 width, i64 corners) {
    for EACH(i, images * height * width) {
        Tap y = tap(i / width % height, h, height, corners), x = tap(i % width, w, width, corners);
        const T *plane = logits + i / (height * width) * classes * h * w;
        A best = -1 / (A)0;
        u8 label = 0;
        for (i64 c = 0; c < classes; c++, plane += h * w) {
            const T *upper = plane + y.low * w, *lower = plane + y.high * w;
            A left = (1 - y.part) * get(upper[x.low]) + y.part * get(lower[x.low]);
            A right = (1 - y.part) * get(upper[x.high]) + y.part * get(lower[x.high]);
            A value = (1 - x.part) * left + x.part * right;
            if (value > best) {
                best = value;
                label = (u8)c;
            }
        }
        labels[i] = label;
    }
}

// `table[truth * 256 + label]` counts the pixels of this pair. A thread takes 16 neighbours and adds runs of equal pairs at once.
KERNEL argmax_count(const u8 *truth, const u8 *labels, i64 *table, i64 n) {
    for EACH(part, (n + 15) / 16) {
        i64 end = min(part * 16 + 16, n);
        u32 pair = 0;
        u64 run = 0;
        for (i64 i = part * 16; i < end; i++) {
            u32 here = (u32)truth[i] << 8 | labels[i];
            if (here != pair && run > 0) {
                atomicAdd((u64 *)table + pair, run);
                run = 0;
            }
            pair = here;
            run++;
        }
        if (run > 0) atomicAdd((u64 *)table + pair, run);
    }
}

// Add a window [planes, h, w] to maps [planes, height, width] at this place.
KERNEL argmax_add_window(const T *window, T *maps, i64 planes, i64 h, i64 w, i64 height, i64 width, i64 top, i64 left) {
    for EACH(i, planes * h * w) {
        i64 at = (i / (h * w) * height + top + i / w % h) * width + left + i % w;
        maps[at] = put(get(maps[at]) + get(window[i]));
    }
}
