import torch
from torch import nn
from torch.ao.pruning import WeightNormSparsifier


def fresh():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16))


squashed = torch.load("squashed.pt")
model = fresh()
model.load_state_dict(squashed)
blocks = (model[0].weight != 0).reshape(2, 16, 64).sum(1)
print("16x1:", sorted(set(blocks.flatten().tolist())), "of 16 in a block,", int((blocks != 0).sum()), "of 128 blocks left")
print("2:4:", set((model[2].weight != 0).reshape(16, 8, 4).sum(2).flatten().tolist()), "of 4 left")

model = fresh()
sparsifier = WeightNormSparsifier(0.75, (16, 1), 16)
two_of_four = {"sparsity_level": 1.0, "sparse_block_shape": (1, 4), "zeros_per_block": 2}
sparsifier.prepare(model, [{"tensor_fqn": "0.weight"}, {"tensor_fqn": "2.weight", **two_of_four}])
print(model.load_state_dict(torch.load("prepared.pt"), strict=False).missing_keys)
sparsifier.step()
sparsifier.squash_mask()
print("the same masks:", all(torch.equal(t, squashed[name]) for name, t in model.state_dict().items()))
