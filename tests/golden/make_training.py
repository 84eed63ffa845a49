#!/usr/bin/env python3
"""Writes training.npz: parameters after 20 steps of PyTorch's optimisers on the digits, from the checkpoints in tests/data.

Large parameters are sampled: every 97th element of those above 2,048. Batches are the first 20 x 32 training rows.
"""
import gzip
import pathlib

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
rows = np.loadtxt(gzip.open(ROOT / "sparsity/data/digits.csv.gz"), delimiter=",", dtype=np.int64)
train = rows[np.arange(len(rows)) % 5 != 0][:640]
pixels, classes = train[:, :64].astype(np.uint8), train[:, 64]


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(8, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


def lenet():
    return nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 10))


def mlp():
    return nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


MODELS = {"lenet": (lenet, "sparsity/data/lenet_digits.pt", (1, 8, 8)), "mlp": (mlp, "tests/data/mlp_digits.pt", (64,)),
          "lstm": (Lstm, "tests/data/lstm_digits.pt", (8, 8))}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-3, nesterov=True),
    "sgd_plain": lambda p: torch.optim.SGD(p, lr=0.05),
    "sgd_dampened": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, dampening=0.5),
    # Adam's first steps divide rounding errors by themselves where a gradient is nearly 0: a small rate keeps them small.
    "adam": lambda p: torch.optim.Adam(p, lr=2e-4, weight_decay=1e-3),
    "adam_amsgrad": lambda p: torch.optim.Adam(p, lr=1e-3, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.05),
}
test = rows[np.arange(len(rows)) % 5 == 0][:, :64].astype(np.uint8)
out = {"pixels": pixels, "classes": classes, "test_pixels": test}
torch.set_num_threads(1)
for model_name, (make, file, shape) in MODELS.items():
    for optimizer_name, make_optimizer in OPTIMIZERS.items():
        if model_name == "lenet" and optimizer_name not in ("sgd", "adam"):
            continue
        model = make()
        model.load_state_dict(torch.load(ROOT / file, weights_only=True))
        optimizer = make_optimizer(model.parameters())
        for step in range(20):
            batch = slice(32 * step, 32 * step + 32)
            x = torch.tensor(pixels[batch], dtype=torch.float32).div(16).reshape(-1, *shape)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), torch.tensor(classes[batch])).backward()
            optimizer.step()
        for name, p in model.named_parameters():
            flat = p.detach().numpy().ravel()
            out[f"{model_name}/{optimizer_name}/{name}"] = flat if flat.size <= 2048 else flat[::97].copy()
np.savez_compressed(HERE / "training.npz", **out)
print(len(out), "arrays with PyTorch", torch.__version__)
