"""How fast this machine trains: measured, since no table knows."""

from __future__ import annotations

import time

import torch

from satsqueeze.learn.losses import DiceCE
from satsqueeze.learn.memory import keep_freed_memory
from satsqueeze.learn.scoring.segmenter import resolved
from satsqueeze.nets.unet import UNet
from satsqueeze.plan.cost_model import macs_per_pixel
from satsqueeze.plan.schedule import Norm
from satsqueeze.plan.stage import network
from satsqueeze.plan.unet_plan import UNetPlan


def training_macs_per_second(plan: UNetPlan, norm: Norm, *, channels: int, labels: int) -> float:
    """Multiply-accumulates per second of a training step, counted as three forward passes.

    Args:
        plan: whose network, patch and batch are timed, two steps after one to warm up.
        norm: of the network.
        channels: bands of an image.
        labels: classes.
    """
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = UNet(network(plan, in_channels=channels, classes=labels, norm=norm)).to(device)
        net.to(memory_format=torch.channels_last)
        images = torch.randn(plan.batch_size, channels, *plan.patch_size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    truth = torch.zeros(plan.batch_size, *plan.patch_size, dtype=torch.long, device=device)
    objective = DiceCE()
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=resolved("auto", device) == "bf16"):
            logits = net(images)
        torch.autograd.backward(objective(logits, truth, None)["loss"])
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    macs = macs_per_pixel(plan.architecture, channels=channels, labels=labels)
    return 3 * macs * images[:, 0].numel() / min(seconds[1:])
