// Dropout: the mask is drawn on the host, so that one seed gives the same mask on every device and in every layout. It is that of maps with
// the channels first; with the channels last `channels` and `area` say which element is meant (else both are 1).

KERNEL dropout(const T *x, const u8 *kept, T *y, i64 n, i64 channels, i64 area, A scale) {
    for EACH(i, n) {
        u32 pixel = (u32)i / (u32)channels, image = pixel / (u32)area;
        i64 at = ((i64)image * channels + ((u32)i - pixel * (u32)channels)) * area + (pixel - image * (u32)area);
        y[i] = kept[at] ? put(get(x[i]) * scale) : put(0);
    }
}
