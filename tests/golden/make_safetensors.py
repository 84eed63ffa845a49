"""Writes float8.safetensors and tied.safetensors: what PyTorch and safetensors make of numbers of eight bits and of
tied tensors."""
import pathlib

import torch
from safetensors.torch import save_file, save_model

HERE = pathlib.Path(__file__).parent

TYPES = {
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}


def float8():
    """Every byte of each type, in a shape, and what it is as float32."""
    every = torch.arange(256, dtype=torch.uint8)
    out = {}
    for name, dtype in TYPES.items():
        out[name] = every.clone().view(dtype).reshape(16, 16)
        out[name + "_as_f32"] = every.view(dtype).to(torch.float32).reshape(16, 16)
    out["other"] = torch.tensor([1.5, -2.5])
    save_file(out, HERE / "float8.safetensors")


class Tied(torch.nn.Module):
    """An embedding whose weight is the head's, and a layer of its own."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(5, 3)
        self.body = torch.nn.Linear(3, 3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight


def tied():
    torch.manual_seed(0)
    model = Tied()
    save_model(model, str(HERE / "tied.safetensors"))
    torch.save(model.state_dict(), HERE / "tied.pt")


float8()
tied()
