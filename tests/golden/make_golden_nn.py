"""Values for tests/golden_nn.rs: a network of one's own and its training, computed by PyTorch.

python make_golden_nn.py writes nn.safetensors beside this file (PyTorch 2.x, f32, one thread).
"""

import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(7)
torch.set_num_threads(1)


class Residual(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return x + self.layer(x)


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.down = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4)
        self.norm = nn.GroupNorm(3, 12)
        self.body = Residual(nn.Sequential(nn.Conv2d(12, 12, 3, padding=2, dilation=2), nn.BatchNorm2d(12), nn.SiLU()))
        self.tokens = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 12), nn.GELU())
        self.head = nn.Conv2d(12, 4, 1)

    def forward(self, x):
        y = F.leaky_relu(self.norm(self.down(F.max_pool2d(self.stem(x), 3, 1, 1))), 0.01)
        y = self.body(y)
        n, c, h, w = y.shape
        t = self.tokens(y.flatten(2).transpose(1, 2))
        y = y + t.transpose(1, 2).reshape(n, c, h, w)
        return F.interpolate(self.head(y), scale_factor=2.0, mode="bilinear", align_corners=False)


net = Own()
x = torch.randn(2, 3, 12, 16)
labels = torch.randint(0, 4, (2, 12, 16))
labels[0, 0, :5] = 255
out = {"x": x, "labels": labels}
out |= {f"state.{k}": v.clone() for k, v in net.state_dict().items()}


def loss():
    return F.cross_entropy(net(x), labels, ignore_index=255)


first = loss()
first.backward()
out |= {f"gradient.{k}": p.grad.clone() for k, p in net.named_parameters()}
net.load_state_dict({k.removeprefix("state."): v for k, v in out.items() if k.startswith("state.")})
out["logits"] = net(x).detach().clone()
net.load_state_dict({k.removeprefix("state."): v for k, v in out.items() if k.startswith("state.")})
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
losses = []
for _ in range(20):
    optimizer.zero_grad()
    value = loss()
    value.backward()
    optimizer.step()
    losses.append(value.item())
out["losses"] = torch.tensor(losses, dtype=torch.float64)
out |= {f"final.{k}": v.clone() for k, v in net.state_dict().items()}
net.eval()
out["evaluated"] = net(x).detach().clone()


def lovasz(logits, labels):
    """Lovasz-softmax, classes present, all images together (Berman et al. 2018)."""
    valid = labels != 255
    p = logits.softmax(1).permute(0, 2, 3, 1)[valid]
    y = labels[valid]
    losses = []
    for c in y.unique():
        truth = (y == c).double()
        errors, order = torch.sort((truth - p[:, c]).abs(), descending=True)
        truth = truth[order]
        jaccard = 1 - (truth.sum() - truth.cumsum(0)) / (truth.sum() + (1 - truth).cumsum(0))
        jaccard[1:] = jaccard[1:] - jaccard[:-1].clone()
        losses.append(torch.dot(errors, jaccard))
    return torch.stack(losses).mean()


a = torch.randn(2, 5, 7, 9, dtype=torch.float64) * 3
b = torch.randn(2, 5, 7, 9, dtype=torch.float64) * 2
y = torch.randint(0, 4, (2, 7, 9))
y[1, 2] = 255
weights = torch.rand(2, 7, 9, dtype=torch.float64)
weights[0, 3] = 0
each = lambda x: F.cross_entropy(x, y, ignore_index=255, reduction="none")
valid = y != 255
hard = lambda x: each(x)[valid]
cases = {
    "lovasz": lambda x: lovasz(x, y),
    "weighted": lambda x: (each(x) * weights).sum() / weights[valid].sum(),
    "ohem_keep": lambda x: hard(x).topk(-(-hard(x).numel() // 4))[0].mean(),
    "ohem_threshold": lambda x: hard(x)[hard(x) > -torch.tensor(0.7).double().log()].mean(),
    "mse": lambda x: F.mse_loss(x, b),
    "kl": lambda x: F.kl_div((x / 2).log_softmax(1), (b / 2).softmax(1), reduction="none").sum(1).mean() * 4,
    "bce": lambda x: F.binary_cross_entropy_with_logits(x, b.sigmoid()),
}
out |= {"loss.a": a, "loss.b": b, "loss.labels": y, "loss.weights": weights}
for name, case in cases.items():
    variable = a.clone().requires_grad_()
    value = case(variable)
    value.backward()
    out[f"loss.{name}"] = value.detach().reshape(1)
    out[f"loss.{name}.gradient"] = variable.grad
save_file({k: v.contiguous() for k, v in out.items()}, pathlib.Path(__file__).with_name("nn.safetensors"))
print(losses[0], losses[-1])
