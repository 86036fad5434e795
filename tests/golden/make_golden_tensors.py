"""Reference values for the tensor functions of the script language that sort, choose, move and add up elements.

Run:  python make_golden_tensors.py [--seed N] [--out FOLDER]      (needs torch, safetensors)

Writes tensors.safetensors. A case is a line of the script language, which the metadata hold as JSON, and what PyTorch gives for the
line of its own beside it: x and w go in, CASE/out comes out, and where that is a float CASE/grad_x and CASE/grad_w are the gradients of
sum(out * CASE/cotangent).
"""
import argparse, json, pathlib
import torch, torch.nn.functional as F
from safetensors.torch import save_file

CASES = [  # name, the script's line, PyTorch's
    ("sort_first", "x.sort(0).values", lambda x, w: x.sort(0).values),
    ("sort_middle_places", "x.sort(1).indices", lambda x, w: x.sort(1).indices),
    ("sort_falling", "x.sort(#{ descending: true }).values", lambda x, w: x.sort(descending=True).values),
    ("sort_of_a_view", "x.transpose(0, 2).sort(1, true).values", lambda x, w: x.transpose(0, 2).sort(1, True).values),
    ("topk", "x.topk(3, 1).values", lambda x, w: x.topk(3, 1).values),
    ("topk_places", "x.topk(2).indices", lambda x, w: x.topk(2).indices),
    ("topk_smallest", "x.permute([2, 0, 1]).topk(2, 0, false).values", lambda x, w: x.permute(2, 0, 1).topk(2, 0, False).values),
    ("median", "x.median(1)", lambda x, w: x.median(1).values),
    ("median_kept", "x.median(-1, true)", lambda x, w: x.median(-1, True).values),
    ("median_of_all", "x.median()", lambda x, w: x.median()),
    ("quantile", "x.quantile(0.3, 1)", lambda x, w: x.quantile(.3, 1)),
    ("quantile_of_all", "x.quantile(0.77)", lambda x, w: x.quantile(.77)),
    ("quantiles_kept", "x.quantile([0.0, 0.4, 1.0], 0, true)", lambda x, w: x.quantile(torch.tensor([0., .4, 1.]), 0, True)),
    ("quantiles_of_all_kept", "x.quantile([0.1, 0.2], #{ keepdim: true })", lambda x, w: x.quantile(torch.tensor([.1, .2]), keepdim=True)),
    *[(f"quantile_{i}", f'x.quantile([0.1, 0.5, 0.6], 2, false, "{i}")', lambda x, w, i=i: x.quantile(torch.tensor([.1, .5, .6]), 2, interpolation=i))
      for i in ("lower", "higher", "midpoint", "nearest")],
    ("cumsum_first", "x.cumsum(0)", lambda x, w: x.cumsum(0)),
    ("cumsum_last", "x.cumsum(-1)", lambda x, w: x.cumsum(-1)),
    ("cumsum_of_a_view", "x.transpose(0, 1).cumsum(2)", lambda x, w: x.transpose(0, 1).cumsum(2)),
    ("flip", "x.flip([0, 2])", lambda x, w: x.flip([0, 2])),
    ("roll", "x.roll([2, -1], [1, 2])", lambda x, w: x.roll((2, -1), (1, 2))),
    ("roll_all", "x.roll(7)", lambda x, w: x.roll(7)),
    ("pad", "x.pad([1, -2, 0, 3], #{ value: 0.5 })", lambda x, w: F.pad(x, (1, -2, 0, 3), value=.5)),
    ("pad_reflect", 'x.pad([2, 1, 3, 0], "reflect")', lambda x, w: F.pad(x, (2, 1, 3, 0), "reflect")),
    ("pad_replicate", 'x.pad([2, 7, 0, 1], "replicate")', lambda x, w: F.pad(x, (2, 7, 0, 1), "replicate")),
    ("pad_circular", 'x.pad([5, 1], "circular")', lambda x, w: F.pad(x, (5, 1), mode="circular")),
    ("pad_circular_cut", 'x.pad([-2, 3], "circular")', lambda x, w: F.pad(x, (-2, 3), mode="circular")),
    ("pad_reflect_cut", 'x.pad([-1, 2], "reflect")', lambda x, w: F.pad(x, (-1, 2), mode="reflect")),
    ("scatter_add", "x.scatter_add(1, tensor::from([[[0, 3], [0, 0]], [[1, 1], [2, 2]]]), w)", lambda x, w: x.scatter_add(1, torch.tensor([[[0, 3], [0, 0]], [[1, 1], [2, 2]]]), w[:, :2])),
    ("silu", "(x * 4).silu()", lambda x, w: F.silu(x * 4)),
    ("leaky_relu", "x.leaky_relu()", lambda x, w: F.leaky_relu(x)),
    ("leaky_relu_steep", "x.leaky_relu(0.3)", lambda x, w: F.leaky_relu(x, .3)),
    ("softplus", "(x * 9).softplus()", lambda x, w: F.softplus(x * 9)),
    ("softplus_options", "x.softplus(#{ beta: 2.5, threshold: 1 })", lambda x, w: F.softplus(x, 2.5, 1)),
    ("erf", "x.erf()", lambda x, w: torch.erf(x)),
    ("histogram", "x.histogram(5).hist", lambda x, w: torch.histogram(x.detach(), 5).hist),
    ("histogram_edges", "x.histogram(5).bin_edges", lambda x, w: torch.histogram(x.detach(), 5).bin_edges),
    ("histogram_options", "x.histogram(4, #{ range: [-1, 0.5], weight: x * x, density: true }).hist",
     lambda x, w: torch.histogram(x.detach(), 4, range=(-1., .5), weight=(x * x).detach(), density=True).hist),
    ("histogram_of_edges", "x.histogram([-1.0, 0.25, 0.5]).hist", lambda x, w: torch.histogram(x.detach(), torch.tensor([-1., .25, .5])).hist),
]

a = argparse.ArgumentParser()
a.add_argument("--seed", type=int, default=0); a.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
a = a.parse_args()
g = torch.Generator().manual_seed(a.seed)
inputs = {"x": torch.randn(3, 4, 5, generator=g), "w": torch.randn(2, 3, 2, generator=g)}
store, meta = dict(inputs), {}
for name, line, reference in CASES:
    x, w = (t.clone().requires_grad_() for t in inputs.values())
    out = reference(x, w)
    found = {"out": out}
    if out.requires_grad:
        found["cotangent"] = torch.randn(out.shape, generator=g)
        (out * found["cotangent"]).sum().backward()
        found["grad_x"] = x.grad
        if w.grad is not None:
            found["grad_w"] = w.grad
    store |= {f"{name}/{role}": t.detach().contiguous().clone() for role, t in found.items()}
    meta[name] = json.dumps({"script": line})
save_file(store, a.out / "tensors.safetensors", {**meta, "seed": str(a.seed), "torch": torch.__version__})
