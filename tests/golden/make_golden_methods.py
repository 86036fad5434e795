"""Values for tests/golden_methods.rs: one step of UniMatch and one of Mean Teacher, computed by PyTorch in double precision.

python make_golden_methods.py writes methods.safetensors beside this file (needs what make_golden_models.py needs, whose formula
gives the numbers of the network and of the batches here too: only what comes of them is stored).

UniMatch as in the authors' code (unimatch.py): one pass over the labelled and the unlabelled images with and without dropped
features, one over the two strong views after CutMix; 1/2 (supervised + 1/4 strong 1 + 1/4 strong 2 + 1/2 feature). Mean Teacher as in
the authors' code: squared difference of the probabilities, weight 20 exp(-5 (1 - step/steps)^2) at step 60 of 100; then one SGD step of the
student and the average with decay 0.9.
"""

import pathlib

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from make_golden_models import sample, uniform, value
from safetensors.torch import save_file

CLASSES, N, M, H, W = 5, 2, 3, 64, 96
torch.manual_seed(3)


def network():
    net = smp.Unet("resnet18", encoder_weights=None, classes=CLASSES, decoder_channels=(32, 16, 8, 4, 2)).double()
    with torch.no_grad():
        for name, t in net.state_dict().items():
            if t.is_floating_point():
                t.copy_(value(name, tuple(t.shape)))
    return net.train()


def images(name, n):
    return torch.from_numpy(uniform(name, n * 3 * H * W)).reshape(n, 3, H, W) * 2


labels = torch.from_numpy(((uniform("labels", N * H * W) + 1) * 3).astype("int64")).reshape(N, H, W)
labels[labels == CLASSES] = 255
labelled, unlabelled, views = images("labelled", N), images("unlabelled", M), [images("view 0", M), images("view 1", M)]
supervised = lambda logits: F.cross_entropy(logits, labels, ignore_index=255)
out = {}


def step(net, loss):
    """Weights after one step of SGD: of each parameter in the order of its name, elements (k * 7919) mod size, k = 0..3."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=4e-5)
    loss.backward()
    optimizer.step()


def samples(net):
    named = {n: t for n, t in net.state_dict().items() if t.is_floating_point()}
    return torch.stack([sample(named[name], 4) for name in sorted(named)])


# UniMatch.
net = network()
boxes = torch.tensor([[[5, 8, 30, 40], [0, 50, 20, 46], [40, 0, 24, 33]], [[10, 10, 9, 60], [31, 2, 30, 30], [0, 0, 64, 20]]])
pasted = torch.zeros(2, M, H, W, dtype=torch.bool)
for i in range(2):
    for j in range(M):
        top, left, h, w = boxes[i, j].tolist()
        pasted[i, j, top : top + h, left : left + w] = True
cutmix = lambda mask, t: torch.where(mask if t.dim() == 3 else mask[:, None], t.roll(-1, 0), t)

maps = net.encoder(torch.cat([labelled, unlabelled]))
head = lambda maps: net.segmentation_head(net.decoder(maps))
kept = [torch.nn.functional.dropout2d(torch.ones(M, f.shape[1], 1, 1, dtype=torch.double), 0.5) for f in maps[1:]]
logits = head(maps)
dropped = head([maps[0][N:]] + [f[N:] * k for f, k in zip(maps[1:], kept)])
p = logits[N:].detach().softmax(1)
confidence, guess = p.max(1)
# a threshold in the widest gap near the median, so that rounding moves no pixel across it
order = confidence.flatten().sort().values
middle = order[len(order) // 2 - 200 : len(order) // 2 + 200]
at = middle.diff().argmax()
threshold = (middle[at] + middle[at + 1]) / 2


def sure(logits, labels, confidence):
    return (F.cross_entropy(logits, labels, reduction="none") * (confidence >= threshold)).mean()


answers = net(torch.cat([cutmix(pasted[i], views[i]) for i in range(2)])).chunk(2)
strong = [sure(answers[i], cutmix(pasted[i], guess), cutmix(pasted[i], confidence)) for i in range(2)]
feature = sure(dropped, guess, confidence)
loss = (supervised(logits[:N]) + 0.25 * strong[0] + 0.25 * strong[1] + 0.5 * feature) / 2
step(net, loss)
out["unimatch.losses"] = torch.stack([loss, supervised(logits[:N]), strong[0] + strong[1], feature]).detach()
out |= {"unimatch.pasted": pasted.to(torch.uint8), "unimatch.threshold": threshold.reshape(1), "unimatch.weights": samples(net)}
out |= {f"unimatch.kept.{k.shape[1]}.{f.shape[2]}": k.float() for f, k in zip(maps[1:], kept)}
print("UniMatch", out["unimatch.losses"], "sure", (confidence >= threshold).double().mean(), "gap", middle.diff().max())

# Mean Teacher.
net, teacher = network(), network().eval()
with torch.no_grad():
    for t in teacher.parameters():
        t.mul_(0.9)
    expected = teacher(unlabelled).softmax(1)
    before = {n: t.clone() for n, t in teacher.state_dict().items()}
first = supervised(net(labelled))
consistency = F.mse_loss(net(views[0]).softmax(1), expected)
loss = first + 20 * torch.exp(torch.tensor(-5 * (1 - 60 / 100) ** 2, dtype=torch.double)) * consistency
step(net, loss)
with torch.no_grad():
    for (name, own), new in zip(teacher.state_dict().items(), net.state_dict().values()):
        if own.is_floating_point():
            own.copy_(0.9 * before[name] + 0.1 * new)
out["mean_teacher.losses"] = torch.stack([loss, first, consistency]).detach()
out |= {"mean_teacher.weights": samples(net), "mean_teacher.averaged": samples(teacher)}
print("Mean Teacher", out["mean_teacher.losses"])
save_file({k: v.contiguous() for k, v in out.items()}, pathlib.Path(__file__).with_name("methods.safetensors"))
