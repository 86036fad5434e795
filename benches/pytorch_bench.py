"""The PyTorch side of the side-by-side benchmark: one JSON line per workload, medians in milliseconds.

    python pytorch_bench.py [--device cpu|cuda] [--dtype f32|bf16] [--only NAME_PREFIX] [--runs N] [--threads N]

Needs: pip install torch segmentation-models-pytorch transformers. Give both sides the same number of threads, and run them in turn
(this, ours, this, ours, ...): these machines are noisy, so only the ratio of medians taken in one go means anything.
cpu_ms is the processor time of one step over all threads (threads that spin while they wait count): with --threads 1 it can be compared
even on a busy machine. peak_mib is the growth of the peak resident set (cpu) or the peak allocation (cuda) during the workload.
"""
import argparse, json, resource, statistics, time
import torch, torch.nn.functional as F

p = argparse.ArgumentParser()
p.add_argument("--device", default="cpu"); p.add_argument("--dtype", default="f32"); p.add_argument("--only", default="")
p.add_argument("--runs", type=int, default=5); p.add_argument("--threads", type=int, default=torch.get_num_threads())
a = p.parse_args()
torch.set_num_threads(a.threads); torch.manual_seed(0)
dev = torch.device(a.device); amp = a.dtype == "bf16"
channels_last = dev.type == "cuda"
if dev.type == "cuda":
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True


def sync():
    if dev.type == "cuda":
        torch.cuda.synchronize()


def measure(name, step, **facts):
    if not name.startswith(a.only):
        return
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if dev.type == "cuda":
        torch.cuda.reset_peak_memory_stats(); base = torch.cuda.memory_allocated() / 1024
    for _ in range(2):
        step()
    sync(); times = []; cpu = time.process_time()
    for _ in range(a.runs):
        t = time.perf_counter(); step(); sync(); times.append((time.perf_counter() - t) * 1e3)
    cpu = (time.process_time() - cpu) * 1e3 / a.runs
    peak = torch.cuda.max_memory_allocated() / 1024 if dev.type == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(dict(side="pytorch", name=name, device=a.device, dtype=a.dtype, threads=a.threads, median_ms=round(statistics.median(times), 3),
                          min_ms=round(min(times), 3), max_ms=round(max(times), 3), cpu_ms=round(cpu, 3), peak_mib=round((peak - base) / 1024, 1), **facts)), flush=True)


def autocast():
    return torch.autocast(dev.type, dtype=torch.bfloat16, enabled=amp)


# --- operations: forward and backward of sum(out) ----------------------------------------------------------------------
for n, ci, co, h, w, k, s, d in [(4, 64, 64, 64, 64, 3, 1, 1), (4, 256, 256, 32, 32, 3, 1, 1), (4, 512, 512, 16, 16, 3, 1, 2), (4, 256, 1024, 16, 16, 1, 1, 1), (4, 3, 64, 256, 256, 7, 2, 1), (4, 1024, 256, 16, 16, 3, 1, 12)]:
    x = torch.randn(n, ci, h, w, device=dev, requires_grad=True); wt = (torch.randn(co, ci, k, k, device=dev) * .05).requires_grad_()
    def conv():
        x.grad = wt.grad = None
        with autocast():
            y = F.conv2d(x, wt, None, s, d * (k // 2), d)
        y.backward(torch.ones_like(y))
    measure(f"conv2d_{n}x{ci}x{h}x{w}_to{co}_k{k}_s{s}_d{d}", conv)
x = torch.randn(4, 2048, 16, 16, device=dev, requires_grad=True); wt = torch.randn(2048, 1, 3, 3, device=dev, requires_grad=True)
def depthwise():
    x.grad = wt.grad = None
    y = F.conv2d(x, wt, None, 1, 12, 12, 2048); y.backward(torch.ones_like(y))
measure("conv2d_depthwise_4x2048x16x16_k3_d12", depthwise)
x = torch.randn(4, 256, 64, 64, device=dev, requires_grad=True); bn = torch.nn.BatchNorm2d(256).to(dev)
def batch_norm_relu():
    x.grad = None
    y = F.relu(bn(x)); y.backward(torch.ones_like(y))
measure("batch_norm_relu_4x256x64x64", batch_norm_relu)
x = torch.randn(4, 64, 128, 128, device=dev, requires_grad=True)
def pool():
    x.grad = None
    y = F.max_pool2d(x, 3, 2, 1); y.backward(torch.ones_like(y))
measure("max_pool2d_4x64x128x128_k3_s2", pool)
x = torch.randn(4, 256, 16, 16, device=dev, requires_grad=True)
def resize():
    x.grad = None
    y = F.interpolate(x, size=(64, 64), mode="bilinear", align_corners=True); y.backward(torch.ones_like(y))
measure("resize_bilinear_4x256_16to64", resize)
lo = torch.randn(4, 19, 256, 256, device=dev, requires_grad=True); la = torch.randint(0, 19, (4, 256, 256), device=dev)
def ce():
    lo.grad = None
    F.cross_entropy(lo, la, ignore_index=255).backward()
measure("cross_entropy_4x19x256x256", ce)

# --- tensor functions that sort, choose and add up --------------------------------------------------------------------------
maps = torch.randn(8, 64, 64, 64, device=dev, requires_grad=True)
def over(reduction):
    def run():
        maps.grad = None
        reduction(maps, (0, 2, 3)).sum().backward()
    return run
measure("mean_8x64x64x64_over_023", over(torch.mean)); measure("std_8x64x64x64_over_023", over(torch.std))
gain, offset = (torch.randn(1, 64, 1, 1, device=dev, requires_grad=True) for _ in range(2))
def batch_statistics(t, dims):
    gain.grad = offset.grad = None
    return (t - t.mean(dims, keepdim=True)) / (t.var(dims, keepdim=True, unbiased=False) + 1e-5).sqrt() * gain + offset
measure("batch_statistics_8x64x64x64", over(batch_statistics))
measure("softmax_8x64x64x64_over_1", over(lambda t, _: t.softmax(1))); measure("logsumexp_8x64x64x64_over_1", over(lambda t, _: t.logsumexp(1)))
long, square = torch.randn(1 << 20, device=dev), torch.randn(1024, 1024, device=dev)
measure("sort_1m", lambda: long.sort()); measure("sort_1024x1024_last", lambda: square.sort(1)); measure("sort_1024x1024_first", lambda: square.sort(0, True))
measure("topk_10_of_1m", lambda: long.topk(10)); measure("topk_5_of_1024x1024", lambda: square.topk(5, 1))
lz = torch.randn(4, 19, 128, 128, device=dev, requires_grad=True); ly = torch.randint(0, 19, (4, 128, 128), device=dev)
def lovasz():                           # Berman's code
    lz.grad = None
    p, y = F.softmax(lz, 1).permute(0, 2, 3, 1).reshape(-1, 19), ly.reshape(-1)
    p, y = p[y != 255], y[y != 255]
    losses = []
    for c in range(19):
        truth = (y == c).float()
        if truth.sum() == 0:
            continue
        errors, order = ((truth - p[:, c]).abs()).sort(0, descending=True)
        truth = truth[order]
        jaccard = 1 - (truth.sum() - truth.cumsum(0)) / (truth.sum() + (1 - truth).cumsum(0))
        jaccard[1:] = jaccard[1:] - jaccard[:-1].clone()
        losses.append(errors @ jaccard)
    (sum(losses) / len(losses)).backward()
measure("lovasz_4x19x128x128", lovasz)

# --- a network of one's own: five convolutions with batch norm --------------------------------------------------------------
if "train_step_own_8x3x96x96".startswith(a.only) and dev.type == "cpu":
    channels, layers = [3, 32, 64, 64, 64], []
    for i in range(4):
        layers += [torch.nn.Conv2d(channels[i], channels[i + 1], 3, 2 if i == 1 else 1, 1, bias=False), torch.nn.BatchNorm2d(channels[i + 1]), torch.nn.ReLU()]
    own = torch.nn.Sequential(*layers, torch.nn.Conv2d(64, 19, 1), torch.nn.Upsample(scale_factor=2, mode="bilinear"))
    ox, oy = torch.randn(8, 3, 96, 96), torch.randint(0, 19, (8, 96, 96))
    rule = torch.optim.SGD(own.parameters(), lr=.01, momentum=.9, weight_decay=1e-4)
    def own_step():
        rule.zero_grad(set_to_none=True)
        F.cross_entropy(own(ox), oy, ignore_index=255).backward(); rule.step()
    measure("train_step_own_8x3x96x96", own_step)

# --- the pixel contrastive loss, within-image form, forward and backward ---------------------------------------------------
def contrast(images, pixels, dim=256, classes=19, chunk=None):
    f = torch.randn(images, pixels, dim, device=dev, requires_grad=True); g = torch.randn(images, pixels, dim, device=dev, requires_grad=True)
    y = torch.randint(0, classes, (images, pixels), device=dev)
    def obvious():                      # as published code does it: masks and log-softmax of the full matrix
        f.grad = g.grad = None
        with autocast():
            s = F.normalize(f, dim=2) @ F.normalize(g, dim=2).transpose(1, 2) / .07
        lp = F.log_softmax(s.float(), 2)
        m = (y[:, :, None] == y[:, None]).float()
        (-(lp * m / m.sum(2, keepdim=True)).sum(2).mean()).backward()
    def checkpointed():                 # the best a careful PyTorch user writes: class means for the positives, checkpointed row blocks
        f.grad = g.grad = None
        fn, gn = F.normalize(f, dim=2), F.normalize(g, dim=2)
        oh = F.one_hot(y, classes).float(); mu = (oh.transpose(1, 2) @ gn) / oh.sum(1).clamp(min=1)[:, :, None]
        pos = (fn * torch.gather(mu, 1, y[:, :, None].expand(-1, -1, dim))).sum(2) / .07
        def rows(block, keys):
            with autocast():
                s = block @ keys.transpose(1, 2) / .07
            return torch.logsumexp(s.float(), 2)
        lse = torch.cat([torch.utils.checkpoint.checkpoint(rows, b, gn, use_reentrant=False) for b in fn.split(chunk or 1024, 1)], 1)
        (lse - pos).mean().backward()
    return obvious, checkpointed
import torch.utils.checkpoint
for images, n in [(2, 4096), (1, 16384)]:
    o, c = contrast(images, n)
    if n <= 4096 or dev.type == "cuda":
        measure(f"pixel_contrast_obvious_{images}x{n}x256", o)
    measure(f"pixel_contrast_checkpointed_{images}x{n}x256", c)

# --- a whole fine-tuning step: DeepLabV3+ of segmentation_models_pytorch, cross-entropy, SGD with momentum; DINOv2 of transformers with a
#     linear head ---------------------------------------------------------------------------------------------------------
def dinov2():
    import transformers
    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = transformers.Dinov2Model(transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518))
            self.bn, self.conv_seg = torch.nn.BatchNorm2d(384), torch.nn.Conv2d(384, 19, 1)
        def forward(self, x):
            n, _, h, w = x.shape
            patches = self.backbone(pixel_values=x).last_hidden_state[:, 1:]
            return F.interpolate(self.conv_seg(self.bn(patches.transpose(1, 2).reshape(n, -1, h // 14, w // 14))), (h, w), mode="bilinear")
    return Linear()

networks = [("resnet18", 8, 128), ("resnet50", 2, 256), ("dinov2_vits14", 4, 224)] if dev.type == "cpu" else [("resnet18", 16, 512), ("resnet50", 16, 512), ("dinov2_vits14", 16, 518)]
for encoder, n, size in networks:
    if not any(f"{kind}_{encoder}_{n}x3x{size}x{size}".startswith(a.only) for kind in ("train_step", "inference")):
        continue
    if encoder.startswith("dinov2"):
        net = dinov2().to(dev).train()
    else:
        import segmentation_models_pytorch as smp
        net = smp.DeepLabV3Plus(encoder, encoder_weights=None, classes=19).to(dev).train()
    x = torch.randn(n, 3, size, size, device=dev); y = torch.randint(0, 19, (n, size, size), device=dev)
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    opt = torch.optim.SGD(net.parameters(), lr=.01, momentum=.9, weight_decay=1e-4)
    def step():
        opt.zero_grad(set_to_none=True)
        with autocast():
            out = net(x)
        F.cross_entropy(out.float(), y, ignore_index=255).backward(); opt.step()
    measure(f"train_step_{encoder}_{n}x3x{size}x{size}", step, images_per_step=n)
    def infer():
        with torch.no_grad(), autocast():
            net(x)
    net.eval(); measure(f"inference_{encoder}_{n}x3x{size}x{size}", infer, images_per_step=n)
