#!/usr/bin/env python3
"""Writes quantized_models.npz and quantized_models.json: quantised layers, training runs and whole models of PyTorch.

Layers are called with the weights and inputs stored, once for each engine (fbgemm, x86, qnnpack, onednn). Training runs
are 20 steps of SGD on a layer under QAT. Models are prepared, calibrated with one batch and converted; the file has the
integers that leave every module. Numbers stand one after another: float32 values, and bytes of integers.
"""
import json
import pathlib
import random
import warnings

import numpy as np
import torch
import torch.ao.quantization as tq
from torch import nn

HERE = pathlib.Path(__file__).parent
ENGINES = ["fbgemm", "x86", "qnnpack", "onednn"]
torch.set_num_threads(1)
warnings.simplefilter("ignore")
rng = random.Random(59)
torch.manual_seed(59)
values, integers = [], []


def keep(t):
    values.append(t.detach().to(torch.float32).contiguous().reshape(-1).numpy().copy())
    return t


def keep_integers(t):
    integers.append(t.int_repr().contiguous().reshape(-1).numpy().astype(np.int16))
    return t


def masked(w):
    share = rng.choice([0, 0, 0.5, 0.9])
    return w * (torch.rand_like(w) >= share)


def layer_case():
    conv, relu, channels = rng.random() < 0.4, rng.random() < 0.5, rng.random() < 0.6
    if conv:
        groups = rng.choice([1, 1, 2])
        size_in, out = groups * rng.randint(1, 3), groups * rng.randint(1, 3)
        kernel, stride, padding = rng.randint(1, 3), rng.randint(1, 2), rng.randint(0, 1)
        w, x = torch.randn(out, size_in // groups, kernel, kernel), torch.randn(rng.randint(1, 2), size_in, 5, 6)
        case = {"conv": True, "stride": stride, "padding": padding, "groups": groups}
    else:
        size_in, out = rng.randint(1, 40), rng.randint(1, 20)
        w, x = torch.randn(out, size_in), torch.randn(rng.randint(1, 6), size_in)
        case = {"conv": False}
    w, b = keep(masked(w)), keep(torch.randn(out)) if rng.random() < 0.8 else None
    keep(x)
    scale = lambda t: max(float(t.abs().max()), 1e-3) / 127.5
    if channels:
        scales = torch.tensor([scale(row) for row in w]).double()
        qw = torch.quantize_per_channel(w, scales, torch.zeros(out, dtype=torch.int64), 0, torch.qint8)
        keep(scales.float())
    else:
        qw = torch.quantize_per_tensor(w, scale(w), 0, torch.qint8)
        case["weight_scale"] = scale(w)
    sx, zx = float(np.float32(rng.uniform(0.01, 0.06))), rng.randint(0, 255)
    sy, zy = float(np.float32(rng.uniform(0.02, 0.3))), rng.randint(0, 255)
    qx = torch.quantize_per_tensor(x, sx, zx, torch.quint8)
    case |= {"weight": list(w.shape), "x": list(x.shape), "bias": b is not None, "relu": relu, "channels": channels,
             "x_scale": sx, "x_zero_point": zx, "scale": sy, "zero_point": zy}
    for engine in ENGINES:
        torch.backends.quantized.engine = engine
        if conv:
            packed = torch.ops.quantized.conv2d_prepack(qw, b, [stride] * 2, [padding] * 2, [1, 1], groups)
            call = torch.ops.quantized.conv2d_relu if relu else torch.ops.quantized.conv2d
            y = call(qx, packed, sy, zy)
        else:
            packed = torch.ops.quantized.linear_prepack(qw, b)
            call = torch.ops.quantized.linear_relu if relu else torch.ops.quantized.linear
            y = call(qx, packed, sy, zy)
        keep_integers(y)
        if not conv and engine != "qnnpack":  # which takes 0..255 for the input
            dynamic = torch.ops.quantized.linear_prepack(qw, b)  # not the one that ran already: oneDNN caches
            keep(torch.ops.quantized.linear_dynamic(x, dynamic, True))
    case["y"] = list(y.shape)
    return case


def training_case():
    size_in, out, n = rng.randint(2, 6), rng.randint(2, 5), rng.randint(4, 10)
    relu = rng.random() < 0.5
    backend, version = rng.choice(["fbgemm", "qnnpack"]), rng.choice([0, 1])
    model = nn.Sequential(tq.QuantStub(), nn.Linear(size_in, out), *([nn.ReLU()] if relu else []), tq.DeQuantStub())
    keep(model[1].weight), keep(model[1].bias)
    if relu:
        model = tq.fuse_modules_qat(model, ["1", "2"])
    model.qconfig = tq.get_default_qat_qconfig(backend, version)
    model.train()
    prepared = tq.prepare_qat(model)
    x, target, rate = keep(torch.randn(n, size_in)), keep(torch.randn(n, out)), rng.choice([0.01, 0.1])
    optimiser = torch.optim.SGD(prepared.parameters(), lr=rate)
    for _ in range(20):
        optimiser.zero_grad()
        loss = ((prepared(x) - target) ** 2).mean()
        loss.backward()
        optimiser.step()
    layer = prepared[1]
    keep(layer.weight), keep(layer.bias), keep(layer.weight_fake_quant.scale), keep(loss)
    return {"in": size_in, "out": out, "n": n, "relu": relu, "backend": backend, "version": version, "rate": rate,
            "channels": layer.weight_fake_quant.scale.numel()}


def model_case():
    backend = rng.choice(ENGINES)
    torch.backends.quantized.engine = backend
    fuse, convolutions = rng.random() < 0.5, rng.random() < 0.5
    widths = [rng.randint(4, 24) for _ in range(3)]
    if convolutions:
        layers = [nn.Conv2d(1, widths[0], 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                  nn.Linear(widths[0] * 16, widths[1]), nn.ReLU(), nn.Linear(widths[1], widths[2])]
        x, groups = torch.randn(16, 1, 8, 8), [["1", "2"], ["5", "6"]]
    else:
        layers = [nn.Linear(12, widths[0]), nn.ReLU(), nn.Linear(widths[0], widths[1]), nn.ReLU(),
                  nn.Linear(widths[1], widths[2])]
        x, groups = torch.randn(32, 12), [["1", "2"], ["3", "4"]]
    model = nn.Sequential(tq.QuantStub(), *layers, tq.DeQuantStub()).eval()
    share = rng.choice([0, 0, 0.8])
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p *= torch.rand_like(p) >= share
            keep(p)
    keep(x)
    if fuse:
        model = tq.fuse_modules(model, groups)
    model.qconfig = tq.get_default_qconfig(backend)
    prepared = tq.prepare(model)
    prepared(x)
    converted = tq.convert(prepared)
    scales, y = [], x
    for module in converted:
        y = module(y)
        if y.is_quantized:
            keep_integers(y)
        if hasattr(module, "scale"):
            scales.append([float(module.scale), int(module.zero_point)])
    return {"engine": backend, "fuse": fuse, "conv": convolutions, "widths": widths, "parameters": scales}


cases = {"layers": [layer_case() for _ in range(150)], "training": [training_case() for _ in range(20)],
         "models": [model_case() for _ in range(30)]}
np.savez_compressed(HERE / "quantized_models.npz", values=np.concatenate(values), integers=np.concatenate(integers))
(HERE / "quantized_models.json").write_text(
    json.dumps({"torch": torch.__version__, **cases}, separators=(",", ":")) + "\n")
print({name: len(list_) for name, list_ in cases.items()})
