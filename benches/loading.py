"""The torchvision side of loading.rs: JPEG + PNG label -> scale, crop, flip, colour distortion, normalisation, batches of 8.

python loading.py CAMVID_FOLDER [--workers 2] [--crop 256] [--limit 0]: one JSON line with images per second of one pass over train.txt,
in the faster of two forms: Pillow images (`pil`) or uint8 tensors from torchvision's own decoder (`tensor`)."""
import argparse, json, pathlib, random, time
import torch, torchvision, torchvision.transforms.functional as T
import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode
from torch.utils.data import DataLoader, Dataset

p = argparse.ArgumentParser()
p.add_argument("camvid", type=pathlib.Path); p.add_argument("--workers", type=int, default=2)
p.add_argument("--crop", type=int, default=256); p.add_argument("--limit", type=int, default=0)
a = p.parse_args()
torch.set_num_threads(1)
MEAN, SD = [.485, .456, .406], [.229, .224, .225]
pairs = [line.split() for line in open(a.camvid / "train.txt")][: a.limit or None]


def jitter(x):
    if random.random() < .8:
        changes = [lambda z: T.adjust_brightness(z, random.uniform(.2, 1.8)), lambda z: T.adjust_contrast(z, random.uniform(.2, 1.8)),
                   lambda z: T.adjust_saturation(z, random.uniform(.2, 1.8)), lambda z: T.adjust_hue(z, random.uniform(-.2, .2))]
        random.shuffle(changes)
        for change in changes: x = change(x)
    return T.rgb_to_grayscale(x, 3) if random.random() < .2 else x


class Camvid(Dataset):
    def __init__(self, form): self.form = form
    def __len__(self): return len(pairs)
    def __getitem__(self, i):
        image, labels = (str(a.camvid / f) for f in pairs[i])
        if self.form == "pil":
            x, y = Image.open(image).convert("RGB"), Image.open(labels); w, h = x.size
        else:
            x, y = torchvision.io.read_image(image), torchvision.io.read_image(labels); h, w = x.shape[1:]
        s = random.uniform(.5, 2); size = [int(h * s), int(w * s)]
        x = T.resize(x, size, InterpolationMode.BILINEAR, antialias=False); y = T.resize(y, size, InterpolationMode.NEAREST)
        pad = [0, 0, max(0, a.crop - size[1]), max(0, a.crop - size[0])]
        if max(pad): x, y = T.pad(x, pad, 124 if self.form == "tensor" else (124, 116, 104)), T.pad(y, pad, 255)
        t, l = random.randint(0, max(0, size[0] - a.crop)), random.randint(0, max(0, size[1] - a.crop))
        x, y = T.crop(x, t, l, a.crop, a.crop), T.crop(y, t, l, a.crop, a.crop)
        if random.random() < .5: x, y = T.hflip(x), T.hflip(y)
        second = jitter(x)
        if self.form == "pil": x, second, y = T.to_tensor(x), T.to_tensor(second), torch.from_numpy(np.array(y))
        else: x, second, y = x.float() / 255, second.float() / 255, y[0]
        return T.normalize(x, MEAN, SD), T.normalize(second, MEAN, SD), y.long()


best = None
for form in ["pil", "tensor"]:
    loader = DataLoader(Camvid(form), batch_size=8, shuffle=True, num_workers=a.workers)
    start, n = None, 0
    for images, _, _ in loader:
        if start is None: start = time.time(); continue  # starting the processes is not counted
        n += len(images)
    rate = n / (time.time() - start)
    if best is None or rate > best[0]: best = (rate, form)
print(json.dumps(dict(name="loading", side="torchvision", form=best[1], images_per_second=round(best[0], 1))))
