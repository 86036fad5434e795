"""Files for tests/teachers.rs and the tests in src/teacher: small teachers with random numbers as `transformers` saves them, and what it computes.

python make_golden_teachers.py writes teachers/{clip,siglip,sam}/, teachers/mobile_sam.safetensors and teachers/expected.safetensors beside
this file (torch 2.x, transformers 5, tokenizers, timm 1; f32, one thread). Weights are f16 in the files; the values are those of the rounded weights.
"""

import json
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from timm.models.tiny_vit import TinyVit
from transformers import CLIPConfig, CLIPModel, SamConfig, SamModel, SiglipConfig, SiglipModel

torch.manual_seed(11)
torch.set_num_threads(1)
here = pathlib.Path(__file__).with_name("teachers")
out = {}


def shaken(model):
    """Random numbers for all parameters, of a size that shows every part in the result, rounded to f16."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 0 or name in ("logit_scale", "logit_bias"):
                p.fill_(2.0)
            elif p.dim() == 1:
                p.copy_(0.1 * torch.randn_like(p) + (1.0 if name.endswith("weight") else 0.0))
            else:
                p.copy_(torch.randn_like(p) * (p[0].numel() ** -0.5))
            p.copy_(p.half().float())
    return model.eval()


def saved(model, name):
    model.half().save_pretrained(here / name)
    model.float()


def tokenizer(name, ends, lower):
    """A tokenizer of bytes with one merge; `ends` are the tokens before and behind a text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(["<pad>", "<unk>", *letters, "at", "<begin>", "<end>"])}
    t = Tokenizer(models.BPE(vocab=vocab, merges=[("a", "t")], unk_token="<unk>"))
    if lower:
        t.normalizer = normalizers.Lowercase()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens(["<pad>", "<begin>", "<end>"])
    template = " ".join(["<begin>"] * ("<begin>" in ends) + ["$A"] + ["<end>"])
    t.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(e, vocab[e]) for e in ends]
    )
    t.enable_truncation(8)  # as some published files say; texts must not be cut
    (here / name).mkdir(parents=True, exist_ok=True)
    t.save(str(here / name / "tokenizer.json"))
    t.no_truncation()
    return t, vocab


texts = ["a cat", "A photo of a flat road", "sky"]
square = torch.rand(3, 32, 32)
wide = torch.rand(2, 3, 32, 48)
out |= {"square": square, "wide": wide}


def confidence(patches, text, scale):
    p = F.normalize(patches, dim=1)
    logits = torch.einsum("nchw,kc->nkhw", p, text) * scale
    return logits.softmax(1).max(1).values


# --- CLIP ---
words, vocab = tokenizer("clip", ["<begin>", "<end>"], True)
side = dict(num_hidden_layers=2, num_attention_heads=2)
config = CLIPConfig(
    text_config=dict(side, hidden_size=16, intermediate_size=40, vocab_size=len(vocab), max_position_embeddings=40,
                     eos_token_id=vocab["<end>"], bos_token_id=vocab["<begin>"], pad_token_id=0),
    vision_config=dict(side, hidden_size=24, intermediate_size=56, num_hidden_layers=3, image_size=32, patch_size=8),
    projection_dim=20,
)
config._attn_implementation = "eager"
clip = shaken(CLIPModel(config))
saved(clip, "clip")
mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
sd = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def clip_values(name):
    ids = [words.encode(t).ids for t in texts]
    length = max(map(len, ids))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in ids])
    text = clip.text_projection(clip.text_model(input_ids=ids).pooler_output)
    out[f"{name}.text"] = F.normalize(text, dim=1)
    vision = clip.vision_model
    for shape, images in [("square", square[None]), ("wide", wide)]:
        x = (images - mean) / sd
        n, _, h, w = x.shape
        hidden = vision(pixel_values=x, interpolate_pos_encoding=True, output_hidden_states=True)
        maps = lambda tokens: clip.visual_projection(vision.post_layernorm(tokens[:, 1:])).transpose(1, 2).reshape(n, -1, h // 8, w // 8)
        out[f"{name}.{shape}.tokens"] = maps(hidden.last_hidden_state)
        before = hidden.hidden_states[-2]
        last = vision.encoder.layers[-1]
        y = before + last.self_attn.out_proj(last.self_attn.v_proj(last.layer_norm1(before)))
        y = y + last.mlp(last.layer_norm2(y))
        out[f"{name}.{shape}.values"] = maps(y)
        out[f"{name}.{shape}.confidence"] = confidence(maps(y), out[f"{name}.text"], clip.logit_scale.exp())


with torch.no_grad():
    clip_values("clip")
    # the same weights with the activation that other published models have
    for module in clip.modules():
        if hasattr(module, "activation_fn"):
            module.activation_fn = torch.nn.GELU()
    clip_values("clip_gelu")

# --- SigLIP ---
words, vocab = tokenizer("siglip", ["<end>"], False)
(here / "siglip" / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>", "padding_side": "right"}))
config = SiglipConfig(
    text_config=dict(side, hidden_size=24, intermediate_size=40, vocab_size=len(vocab), max_position_embeddings=32,
                     projection_size=24),
    vision_config=dict(side, hidden_size=24, intermediate_size=56, image_size=32, patch_size=8),
)
config._attn_implementation = "eager"
siglip = shaken(SiglipModel(config))
saved(siglip, "siglip")
with torch.no_grad():
    ids = [words.encode(t.lower()).ids for t in texts]
    fill = [[vocab["<pad>"]] * (32 - len(row)) for row in ids]
    features = lambda rows: F.normalize(siglip.text_model(input_ids=torch.tensor(rows)).pooler_output, dim=1)
    out["siglip.text_left"] = features([f + row for f, row in zip(fill, ids)])
    text = out["siglip.text"] = features([row + f for f, row in zip(fill, ids)])
    for shape, images in [("square", square[None]), ("wide", wide)]:
        x = (images - 0.5) / 0.5
        n, _, h, w = x.shape
        tokens = siglip.vision_model(pixel_values=x, interpolate_pos_encoding=True).last_hidden_state
        maps = lambda t: t.transpose(1, 2).reshape(n, -1, h // 8, w // 8)
        out[f"siglip.{shape}.tokens"] = maps(tokens)
        alone = siglip.vision_model.head(tokens.reshape(-1, 1, 24)).reshape(tokens.shape)
        out[f"siglip.{shape}.values"] = maps(alone)
        out[f"siglip.{shape}.confidence"] = confidence(maps(alone), text, siglip.logit_scale.exp())

# --- Segment Anything ---
config = SamConfig(
    vision_config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16,
                       output_channels=16, window_size=3, global_attn_indexes=[1], num_pos_feats=8, mlp_dim=96),
    prompt_encoder_config=dict(hidden_size=16, image_size=64, patch_size=16),
    mask_decoder_config=dict(hidden_size=16, mlp_dim=2048, iou_head_hidden_dim=32),
)
config._attn_implementation = "eager"
sam = shaken(SamModel(config))
with torch.no_grad():
    sam.shared_image_embedding.positional_embedding.copy_(torch.randn(2, 8).half().float())
    sam.prompt_encoder.shared_embedding.positional_embedding.copy_(sam.shared_image_embedding.positional_embedding)
saved(sam, "sam")
mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
sd = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
picture = torch.rand(3, 40, 64)
out["picture"] = picture
with torch.no_grad():
    x = F.pad((picture[None] - mean) / sd, (0, 0, 0, 24))
    embedding = sam.get_image_embeddings(x)
    for name, points, labels, several in [
        ("one", [[20.0, 30.0]], [1], True),
        ("two", [[20.0, 30.0], [50.5, 3.0]], [1, 0], False),
    ]:
        r = sam(image_embeddings=embedding, input_points=torch.tensor(points)[None, None],
                input_labels=torch.tensor(labels)[None, None], multimask_output=several)
        best = r.iou_scores[0, 0].argmax()
        full = F.interpolate(r.pred_masks[0], (64, 64), mode="bilinear", align_corners=False)[..., :40, :64]
        out[f"sam.{name}.scores"] = r.iou_scores[0, 0]
        out[f"sam.{name}.low"] = r.pred_masks[0, 0]
        out[f"sam.{name}.map"] = full[0, best]

# --- the image encoder of Mobile-SAM: timm's TinyViT; before the last stage the map keeps its size, and a neck follows ---
tiny = TinyVit(embed_dims=(8, 8, 16, 24), depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 3), num_classes=0)
tiny.stages[3].downsample.conv2.conv.stride = (1, 1)


class Norm2d(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(channels))
        self.bias = torch.nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


neck = torch.nn.Sequential(torch.nn.Conv2d(24, 16, 1, bias=False), Norm2d(16), torch.nn.Conv2d(16, 16, 3, padding=1, bias=False), Norm2d(16))
shaken(tiny), shaken(neck)
with torch.no_grad():
    for name, b in tiny.named_buffers():
        if name.endswith("running_mean"):
            b.copy_((0.1 * torch.randn_like(b)).half().float())
        if name.endswith("running_var"):
            b.copy_((0.5 + torch.rand_like(b)).half().float())


def authors(name):
    """timm's name as the authors have it."""
    for timm, theirs in [(".conv.", ".c."), ("patch_embed.conv1.", "patch_embed.seq.0."), ("patch_embed.conv2.", "patch_embed.seq.2.")]:
        name = name.replace(timm, theirs)
    parts = name.split(".")
    if parts[0] == "stages":
        stage = int(parts[1]) - ("downsample" in parts)
        name = ".".join(["layers", str(stage), *parts[2:]])
    return name


file = {f"image_encoder.{authors(k)}": v for k, v in tiny.state_dict().items() if not k.startswith("head.") and "num_batches" not in k}
file |= {f"image_encoder.neck.{k}": v for k, v in neck.state_dict().items()}
save_file({k: v.half().contiguous() for k, v in file.items()}, here / "mobile_sam.safetensors")
images = torch.rand(2, 3, 64, 64) * 2 - 1
out["tiny.images"] = images
with torch.no_grad():
    out["tiny.maps"] = neck(tiny.stages(tiny.patch_embed(images)))

save_file({k: v.detach().contiguous().float() for k, v in out.items()}, here / "expected.safetensors")
for name, value in out.items():
    print(name, tuple(value.shape), round(value.std().item(), 4))
