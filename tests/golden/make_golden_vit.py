"""Reference values for DINOv2 encoders and the heads on them (src/nn/vit/tests.rs).

Run:  python make_golden_vit.py [--out FOLDER]          (needs torch, safetensors, transformers 5)

Numbers come from the formula of make_golden_models.py, by the names that published files have. vit.safetensors holds per case, computed
in double precision but for the position embeddings, which transformers interpolates in single precision:
    CASE/map0 .. map3  samples of the four normed maps [n, d, h / 14, w / 14]: element (k * 7919) mod size, k = 0..63
    CASE/gradients     for loss = sum over maps of mean(map * cotangent), per parameter in the order of `names`: norm, then elements
                       (k * 7919) mod size, k = 0..3
    dpt/.., linear/..  the same for the heads: features, logits at the size of the images, gradients for mean(logits * cotangent)
The metadata holds per case its options as JSON, and under `names` the names and shapes of the six published networks.
"""
import argparse, json, pathlib
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from torch import nn

from make_golden_models import sample, uniform, value

PUBLISHED = [("attention.q_proj", "attention.attention.query"), ("attention.k_proj", "attention.attention.key"),
             ("attention.v_proj", "attention.attention.value"), ("attention.o_proj", "attention.output.dense")]

CASES = {  # d, heads, blocks to each map, registers, grid of the position embeddings, images
    "plain": (48, 3, (1, 1, 1, 1), 0, 5, (3, 3, 98, 154)),
    "plain_native": (32, 2, (1, 1, 0, 1), 0, 4, (2, 3, 56, 56)),
    "plain_small": (32, 2, (0, 1, 1, 0), 0, 6, (1, 3, 28, 42)),
    "registers": (48, 3, (1, 1, 1, 1), 4, 5, (3, 3, 98, 154)),
    "registers_small": (32, 2, (0, 1, 1, 0), 4, 6, (1, 3, 28, 42)),
    "registers_native": (32, 2, (1, 1, 0, 0), 4, 4, (2, 3, 56, 56)),
    "square_224": (32, 2, (0, 1, 0, 1), 4, 37, (3, 3, 224, 224)),
    "square_518": (32, 2, (0, 1, 0, 0), 0, 37, (1, 3, 518, 518)),
}
SIZES = {"small": (384, 12), "base": (768, 12), "large": (1024, 24)}


def published(name):
    for new, old in PUBLISHED:
        name = name.replace(new, old)
    return name


def network(d, heads, depth, registers, grid):
    options = dict(hidden_size=d, num_attention_heads=heads, num_hidden_layers=depth, image_size=14 * grid, patch_size=14)
    if registers:
        config = transformers.Dinov2WithRegistersConfig(num_register_tokens=registers, **options)
        return transformers.Dinov2WithRegistersModel(config)
    return transformers.Dinov2Model(transformers.Dinov2Config(**options))


def fill(net, prefix=""):
    with torch.no_grad():
        for name, t in net.state_dict().items():
            if t.is_floating_point():
                t.copy_(value(prefix + published(name), tuple(t.shape)))


def maps_of(net, images, blocks, registers):
    taken = [net.embeddings(images)]
    for layer in net.encoder.layer:
        layer.register_forward_hook(lambda module, given, out: taken.append(out))
    net(pixel_values=images)
    taken = [taken[0]] + taken[1:]
    n, _, h, w = images.shape
    maps, at = [], 0
    for count in blocks:
        at += count
        patches = net.layernorm(taken[at])[:, 1 + registers:]
        maps.append(patches.transpose(1, 2).reshape(n, -1, h // 14, w // 14))
    return maps


def filled_with(name, shape, factor):
    count = torch.Size(shape).numel()
    return torch.from_numpy(uniform(name, count)).reshape(shape) * factor


def rows(parameters):
    return torch.stack([torch.cat([p.grad.norm()[None], sample(p.grad, 4)]) for p in parameters])


class Unit(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x):
        return x + self.conv2(self.conv1(x.relu()).relu())


class Fusion(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.out_conv = nn.Conv2d(width, width, 1)
        self.resConfUnit1, self.resConfUnit2 = Unit(width), Unit(width)

    def forward(self, x, finer, size):
        x = x if finer is None else x + self.resConfUnit1(finer)
        return self.out_conv(F.interpolate(self.resConfUnit2(x), size, mode="bilinear", align_corners=True))


class Dpt(nn.Module):
    """The head of UniMatch V2 for an encoder of 384 channels."""

    def __init__(self, classes, width=64, channels=(48, 96, 192, 384)):
        super().__init__()
        self.projects = nn.ModuleList([nn.Conv2d(384, c, 1) for c in channels])
        self.resize_layers = nn.ModuleList([nn.ConvTranspose2d(channels[0], channels[0], 4, 4), nn.ConvTranspose2d(channels[1], channels[1], 2, 2),
                                            nn.Identity(), nn.Conv2d(channels[3], channels[3], 3, 2, 1)])
        self.scratch = nn.Module()
        for i, c in enumerate(channels):
            setattr(self.scratch, f"layer{i + 1}_rn", nn.Conv2d(c, width, 3, padding=1, bias=False))
        for i in range(4):
            setattr(self.scratch, f"refinenet{i + 1}", Fusion(width))
        self.scratch.output_conv = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, classes, 1))

    def forward(self, maps):
        maps = [resize(project(m)) for m, project, resize in zip(maps, self.projects, self.resize_layers)]
        maps = [getattr(self.scratch, f"layer{i + 1}_rn")(m) for i, m in enumerate(maps)]
        path = self.scratch.refinenet4(maps[3], None, maps[2].shape[2:])
        path = self.scratch.refinenet3(path, maps[2], maps[1].shape[2:])
        path = self.scratch.refinenet2(path, maps[1], maps[0].shape[2:])
        path = self.scratch.refinenet1(path, maps[0], [2 * s for s in maps[0].shape[2:]])
        features = self.scratch.output_conv[:2](path)
        return features, self.scratch.output_conv[2](features), True


class Linear(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.bn, self.conv_seg = nn.BatchNorm2d(384), nn.Conv2d(384, classes, 1)

    def forward(self, maps):
        features = self.bn(maps[3])
        return features, self.conv_seg(features), False


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=pathlib.Path(__file__).parent, type=pathlib.Path)
    a = p.parse_args()
    store, meta = {}, {"torch": torch.__version__, "transformers": transformers.__version__}
    for case, (d, heads, blocks, registers, grid, shape) in CASES.items():
        net = network(d, heads, sum(blocks), registers, grid).double().eval()
        fill(net)
        maps = maps_of(net, filled_with("images", shape, 2.0), blocks, registers)
        loss = sum((m * filled_with(f"cotangent{i}", m.shape, 1.0)).mean() for i, m in enumerate(maps))
        loss.backward()
        for i, m in enumerate(maps):
            store[f"{case}/map{i}"] = sample(m.detach(), 64)
        trained = [(published(n), q) for n, q in net.named_parameters() if q.grad is not None]
        store[f"{case}/gradients"] = rows([q for _, q in trained])
        meta[case] = json.dumps(dict(width=d, heads=heads, blocks=blocks, registers=registers, grid=grid, images=shape, names=[n for n, _ in trained]))
        print(case, len(trained), flush=True)
    for case, make, prefix in [("dpt", Dpt, "head."), ("linear", Linear, "decode_head.")]:
        net = make(5).double()
        fill(net, prefix)
        maps = [filled_with(f"map{i}", (2, 384, 3, 4), 2.0) for i in range(4)]
        features, logits, aligned = net(maps)
        logits = F.interpolate(logits, (42, 56), mode="bilinear", align_corners=aligned)
        (logits * filled_with("cotangent", logits.shape, 1.0)).mean().backward()
        store[f"{case}/features"], store[f"{case}/logits"] = sample(features.detach(), 256), sample(logits.detach(), 256)
        trained = [(prefix + n, q) for n, q in net.named_parameters() if q.grad is not None]
        store[f"{case}/gradients"] = rows([q for _, q in trained])
        meta[case] = json.dumps(dict(names=[n for n, _ in trained], state=[prefix + n for n in net.state_dict() if "num_batches" not in n]))
    names = {}
    for size, (d, depth) in SIZES.items():
        for registers in (0, 4):
            with torch.device("meta"):
                net = network(d, d // 64, depth, registers, 37)
            names[f"dinov2_vit{size[0]}14" + "_reg" * (registers > 0)] = {published(n): list(t.shape) for n, t in net.state_dict().items()}
    meta["names"] = json.dumps(names)
    net = network(384, 6, 12, 0, 37).double().eval()
    fill(net)
    with torch.no_grad():
        for i, m in enumerate(maps_of(net, filled_with("images", (1, 3, 98, 154), 2.0), (3, 3, 3, 3), 0)):
            store[f"dinov2_vits14/map{i}"] = sample(m, 64)
    save_file(store, a.out / "vit.safetensors", meta)
    print(sum(t.numel() * 8 for t in store.values()), "bytes")
