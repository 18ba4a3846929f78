"""Two processes under DistributedDataParallel, each with half a batch, are one process with the whole."""

import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from thresher.core import Mask
from thresher.layers import sparsify

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="this torch is built without gloo")


def network(seed):
    """A sparse network, one of whose layers has no sparse form, with weights drawn from `seed`."""
    torch.manual_seed(seed)
    conv3d = nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv3d(1, 1, (1, 2, 2)))
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), conv3d, nn.Flatten(), nn.Linear(36, 6), nn.Linear(6, 3)).double()
    generator = torch.Generator().manual_seed(9)
    weights = {name: p for name, p in net.named_parameters() if name.endswith("weight")}
    mask = Mask({name: torch.rand(p.shape, generator=generator) < 0.4 for name, p in weights.items()})
    return sparsify(net, mask, "always")


def data():
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(10, 1, 6, 6, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, 3, (10,), generator=generator)


def train(model, inputs, targets):
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(network(seed=rank))  # which gives all of them what the first has
    inputs, targets = data()
    train(model, inputs[rank::2], targets[rank::2])
    torch.save(model.module.state_dict(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    work(int(sys.argv[1]), sys.argv[2])


def test_two_processes_are_one(tmp_path):
    commands = [[sys.executable, __file__, str(rank), str(tmp_path)] for rank in range(2)]
    processes = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for c in commands]
    try:
        for process in processes:
            said, _ = process.communicate(timeout=120)
            assert process.returncode == 0, said
    finally:
        for process in processes:
            process.kill()
            process.wait()
    alone, untrained = network(seed=0), network(seed=0).state_dict()
    train(alone, *data())
    for rank in range(2):
        state = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=0, atol=1e-12)
            assert not torch.equal(value, untrained[name])
        removed = alone.get_parameter("2.1.weight").keep.logical_not()
        assert not state["2.1.weight"][removed].any()
