#!/usr/bin/env python3
"""Writes the checkpoints of this folder: what training programs save, with PyTorch 2.13.0 (CPU).

`net` is Sequential(Linear(4, 3), ReLU, Linear(3, 2)), the same numbers in each of its checkpoints.
"""
import pathlib

import torch
import torch.nn.utils.prune as prune
from torch import nn

HERE = pathlib.Path(__file__).parent
torch.manual_seed(0)
torch.set_num_threads(1)


def save(name, value):
    torch.save(value, HERE / name)


def mlp():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def below(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def pruned(module, names, amount):
    for name in names:
        prune.l1_unstructured(module, name, amount)


net = mlp()
state = net.state_dict()
save("net.pt", state)
save("data_parallel.pth", nn.DataParallel(net).state_dict())
save("compiled.pt", below("_orig_mod.", state))
save("nested.pth.tar", {"epoch": 3, "state_dict": state, "best_acc1": 0.5})
optimizer = torch.optim.Adam(net.parameters())
net(torch.ones(1, 4)).sum().backward()
before = {name: tensor.clone() for name, tensor in state.items()}
optimizer.step()
net.load_state_dict(before)
save("beside.pt", {"model": state, "optimizer": optimizer.state_dict(), "epoch": 7})
save("mixed.pt", {**state, "optimizer": optimizer.state_dict()})
save("lightning.ckpt", {"epoch": 1, "global_step": 20, "pytorch-lightning_version": "2.5.0",
                        "state_dict": {**below("model.", state), "loss.weight": torch.ones(2)}, "loops": {"fit": {}},
                        "callbacks": {}, "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [],
                        "hyper_parameters": {"lr": 0.001}})
save("double.pt", {name: tensor.double() / 3 for name, tensor in state.items()})

first = mlp()
pruned(first[0], ["weight"], 0.5)
save("pruned_first.pt", first.state_dict())

old = nn.utils.weight_norm(nn.Conv1d(16, 32, 3))
save("weight_norm.pt", old.state_dict())
new = nn.utils.parametrizations.weight_norm(nn.Conv1d(16, 32, 3))
save("weight_norm_parametrized.pt", new.state_dict())

wte = nn.Embedding(50, 16)
head = nn.Linear(16, 50, bias=False)
head.weight = wte.weight
save("tied.pt", {"wte.weight": wte.weight, "lm_head.weight": head.weight, "h.weight": nn.Linear(16, 16).weight})

lstm = nn.ModuleDict({"lstm": nn.LSTM(8, 20, batch_first=True), "fc": nn.Linear(20, 4)})
pruned(lstm["lstm"], ["weight_ih_l0", "weight_hh_l0"], 0.9)
pruned(lstm["fc"], ["weight"], 0.5)
save("lstm90.pt", lstm.state_dict())

grouped = nn.ModuleDict({"c": nn.Conv2d(8, 8, 3, groups=2)})
pruned(grouped["c"], ["weight"], 0.9)
save("grouped.pt", grouped.state_dict())

save("batch_norm.pt", nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2)).state_dict())
