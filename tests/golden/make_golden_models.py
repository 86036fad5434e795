"""Reference values for the networks.

Run:  python make_golden_models.py [--out FOLDER]        (needs torch, torchvision, segmentation_models_pytorch, safetensors,
                                                          transformers 4: from 5 on its parameters have other names)

A network is too large to store, so its numbers come from a formula that both sides compute: element i of the tensor called
NAME is u(NAME, i) in [-1, 1), from SplitMix64 of FNV-1a(NAME) + i, then

    convolution, linear weight u * sqrt(3 / fan in)
    other bias                 u * 0.1
    norm's weight              1 + u * 0.2
    running mean, running var  u * 0.1, 1 + u * 0.3
    the images, the cotangent  u * 2, u, with the names "images" and "cotangent"

models.safetensors holds per case, in double precision, computed in double precision:
    CASE/eval       samples of the logits in eval mode: element (k * 7919) mod size of the flattened tensor, k = 0..255
    CASE/train      the same in training mode (dropout and drop path 0), after which, for loss = mean(logits * cotangent):
    CASE/gradients  per parameter in the order of the modules: norm, then elements (k * 7919) mod size, k = 0..3
    CASE/initial    per parameter in the order of the modules, as PyTorch initialises it (seed 0): root mean square, mean of
                    (x / root mean square)^4 (1.8 for uniform, 3 for normal numbers)
    CASE/running    per running statistic in the order of the modules: sum, sum of squares after that one step
The metadata holds per case its options as JSON, and `float32` holds the largest relative error of PyTorch's own single
precision against these values (per output or tensor, relative to its largest element), for comparison; without the gradients
that vanish, of which rounding alone is left (a bias before a batch norm or of an attention's keys shifts everything alike).
"""
import argparse, json, pathlib
import numpy as np, torch, torchvision
import segmentation_models_pytorch as smp
from safetensors.torch import save_file
import transformers

MASK = (1 << 64) - 1


def uniform(name, count):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    x = np.arange(count, dtype=np.uint64) + np.uint64(h)
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def value(name, shape):
    u = torch.from_numpy(uniform(name, int(np.prod(shape)))).reshape(shape)
    if len(shape) in (2, 4):
        return u * (3.0 / np.prod(shape[1:])) ** 0.5
    if name.endswith("running_mean"):
        return u * 0.1
    if name.endswith("running_var"):
        return 1 + u * 0.3
    return 1 + u * 0.2 if name.endswith("weight") else u * 0.1


def sample(t, count):
    flat = t.detach().flatten()
    return flat[(torch.arange(count) * 7919) % flat.numel()].double()


CASES = {  # architecture, encoder, output stride, classes, n, h, w, extra
    "plus_resnet18_os16": ("deeplabv3plus", "resnet18", 16, 11, 2, 64, 96, {}),
    "plus_resnet18_os8": ("deeplabv3plus", "resnet18", 8, 5, 2, 40, 56, {}),
    "plus_resnet18_odd": ("deeplabv3plus", "resnet18", 16, 4, 2, 45, 67, {}),
    "plus_resnet34_plain": ("deeplabv3plus", "resnet34", 16, 3, 2, 48, 32, dict(separable=False, atrous_rates=[1, 2, 3], decoder_channels=64)),
    "plus_resnet50_os16": ("deeplabv3plus", "resnet50", 16, 7, 2, 48, 64, dict(decoder_channels=128)),
    "plus_resnet50_os8": ("deeplabv3plus", "resnet50", 8, 7, 2, 33, 50, dict(decoder_channels=64)),
    "plus_resnet101_os16": ("deeplabv3plus", "resnet101", 16, 3, 2, 32, 32, dict(decoder_channels=32)),
    "deeplabv3_resnet50": ("deeplabv3", "resnet50", 8, 6, 2, 48, 37, {}),
    "fcn_resnet50": ("fcn", "resnet50", 8, 6, 2, 37, 48, {}),
    "unet_resnet18": ("unet", "resnet18", 32, 5, 2, 64, 96, {}),
    "unet_resnet34_odd": ("unet", "resnet34", 32, 5, 2, 45, 67, {}),
    "segformer_b0": ("segformer", "mit_b0", 32, 5, 2, 64, 96, {}),
    "segformer_b0_odd": ("segformer", "mit_b0", 32, 5, 2, 45, 67, dict(decoder_channels=48)),
    "segformer_b2": ("segformer", "mit_b2", 32, 3, 2, 64, 48, dict(decoder_channels=32)),
}


class AnySize(torch.nn.Module):
    """DeepLabV3+ with its own parts, the fixed factors replaced by the sizes they stand for."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        net, up = self.net, lambda x, like: torch.nn.functional.interpolate(x, like, mode="bilinear", align_corners=True)
        maps = net.encoder(images)
        fine = net.decoder.block1(maps[2])
        coarse = up(net.decoder.aspp(maps[-1]), fine.shape[-2:])
        return up(net.segmentation_head[0](net.decoder.block2(torch.cat([coarse, fine], 1))), images.shape[-2:])


DEPTHS = {"mit_b0": [2, 2, 2, 2], "mit_b2": [3, 4, 6, 3]}


class Segformer(torch.nn.Module):
    """The logits at the size of the images, as the loss of `transformers` takes them."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return torch.nn.functional.interpolate(self.net(images).logits, images.shape[-2:], mode="bilinear", align_corners=False)


def network(architecture, encoder, stride, classes, extra):
    if architecture == "deeplabv3plus":
        return smp.DeepLabV3Plus(encoder, encoder_weights=None, encoder_output_stride=stride, classes=classes, decoder_aspp_dropout=0.0,
                                 decoder_channels=extra.get("decoder_channels", 256), decoder_aspp_separable=extra.get("separable", True),
                                 decoder_atrous_rates=extra.get("atrous_rates", (12, 24, 36)))
    if architecture == "unet":
        return smp.Unet(encoder, encoder_weights=None, classes=classes)
    if architecture == "segformer":
        small = encoder == "mit_b0"
        return transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(
            num_labels=classes, depths=DEPTHS[encoder], hidden_sizes=[32, 64, 160, 256] if small else [64, 128, 320, 512],
            decoder_hidden_size=extra.get("decoder_channels", 256 if small else 768), drop_path_rate=0.0, classifier_dropout_prob=0.0,
            attn_implementation="eager"))
    make = getattr(torchvision.models.segmentation, f"{architecture}_{encoder}")
    net = make(weights=None, weights_backbone=None, num_classes=classes)
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return net


def spread(p):
    rms = p.double().square().mean().sqrt()
    return torch.stack([rms, (p.double() / rms.clamp_min(1e-300)).pow(4).mean()])


def run(case, dtype):
    architecture, encoder, stride, classes, n, h, w, extra = CASES[case]
    torch.manual_seed(0)
    net = network(architecture, encoder, stride, classes, extra).to(dtype)
    initial = torch.stack([spread(p.detach()) for p in net.parameters()])
    with torch.no_grad():
        for name, t in net.state_dict().items():
            if t.is_floating_point():
                t.copy_(value(name, tuple(t.shape)))
    images = (torch.from_numpy(uniform("images", n * 3 * h * w)).reshape(n, 3, h, w) * 2).to(dtype)
    cotangent = torch.from_numpy(uniform("cotangent", n * classes * h * w)).reshape(n, classes, h, w).to(dtype)
    call = Segformer(net) if architecture == "segformer" else AnySize(net) if architecture == "deeplabv3plus" and (h % stride or w % stride) else net
    logits = lambda: (lambda out: out["out"] if isinstance(out, dict) else out)(call(images))
    net.eval()
    with torch.no_grad():
        evaluated = logits()
    net.train()
    trained = logits()
    (trained * cotangent).mean().backward()
    running = [t for name, t in net.named_buffers() if "running" in name]
    gradients = [p.grad for p in net.parameters()]
    return evaluated, trained.detach(), gradients, running, initial


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=pathlib.Path(__file__).parent, type=pathlib.Path)
    a = p.parse_args()
    store, meta = {}, {"torch": torch.__version__, "segmentation_models_pytorch": smp.__version__, "torchvision": torchvision.__version__,
                       "transformers": transformers.__version__}
    rounding = {}
    for case, (architecture, encoder, stride, classes, n, h, w, extra) in CASES.items():
        evaluated, trained, gradients, running, initial = run(case, torch.double)
        single = run(case, torch.float)
        off = lambda x, y: ((x - y).abs().max() / y.abs().max().clamp_min(1e-300)).item()
        most = max(y.norm() for y in gradients)
        rounding[case] = dict(eval=off(single[0], evaluated), train=off(single[1], trained),
                              gradients=max(off(x, y) for x, y in zip(single[2], gradients) if y.norm() > 1e-9 * most), running=max(off(x, y) for x, y in zip(single[3], running)))
        store[f"{case}/eval"], store[f"{case}/train"] = sample(evaluated, 256), sample(trained, 256)
        store[f"{case}/gradients"] = torch.stack([torch.cat([g.norm()[None], sample(g, 4)]) for g in gradients])
        store[f"{case}/running"] = torch.stack([torch.stack([t.sum(), (t * t).sum()]) for t in running])
        store[f"{case}/initial"] = initial
        meta[case] = json.dumps(dict(architecture=architecture, encoder=encoder, output_stride=stride, classes=classes, images=[n, 3, h, w],
                                     parameters=len(gradients), **extra))
        print(case, "single precision:", {k: f"{v:.1e}" for k, v in rounding[case].items()}, flush=True)
    meta["float32"] = json.dumps(rounding)
    save_file(store, a.out / "models.safetensors", meta)
    print(sum(t.numel() * 8 for t in store.values()), "bytes")
