import os
import shutil

import numpy as np
import pytest
import torch
from hypothesis import settings

from dvdgan.config import Config, DataConfig, TrainingConfig
from dvdgan.config.network import GeneratorConfig, NetworkConfig, SpatialConfig, TemporalConfig
from dvdgan.data.progress import hidden_progress
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.workers import Workers
from dvdgan.training import train

settings.register_profile("dvdgan", deadline=None)  # a busy machine is no failure
settings.load_profile("dvdgan")


def tiny_network(**changes) -> NetworkConfig:
    """A network of a few thousand parameters; keyword arguments replace fields, dicts those of a part."""
    parts = {
        "generator": {"z_dim": 8, "embed_dim": 8, "width": 4, "multipliers": [4, 2, 2], "stem_multiplier": 4},
        "spatial": {"frames": 2, "width": 4, "multipliers": [1, 2, 2, 4]},
        "temporal": {"width": 4, "multipliers": [1, 2, 4]},
    }
    models = {"generator": GeneratorConfig, "spatial": SpatialConfig, "temporal": TemporalConfig}
    fields = {"size": 32, "frames": 4, "classes": 3}
    for name, change in changes.items():
        if name in parts:
            parts[name] = None if change is None else parts[name] | change
        else:
            fields[name] = change
    built = {name: None if value is None else models[name](**value) for name, value in parts.items()}
    return NetworkConfig(**fields, **built)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _no_bars():
    with hidden_progress():
        yield


@pytest.fixture(scope="session", autouse=True)
def _threads():
    """Two threads at most; one in each of several processes, whose idle threads would spin in each other's way."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, cores))


@pytest.fixture
def here(monkeypatch):
    """Decode in this process: what others are for is tested with the workers."""
    monkeypatch.setattr(Workers, "_start", lambda self: None)


def write_store(path, size=32, frames=6, per_class=5, classes=("dot", "bar", "sky"), shards=None):
    """A packed store of moving squares, a colour per class."""
    rng = np.random.default_rng(0)
    with StoreWriter(path, size, list(classes), {"test": True}, shards=shards) as writer:
        for label, _ in enumerate(classes):
            for index in range(per_class):
                clip = np.full((frames, size, size, 3), 30, np.uint8)
                x, y = rng.integers(0, size - 12, 2)
                for t in range(frames):
                    clip[t, y : y + 8, x + t : x + t + 8, label] = 200
                writer.begin_shard(len(writer) * (shards or 1) // (per_class * len(classes)))
                writer.add(clip, label, f"{label}/{index}", 12.0)
    return path


CHECKED = {"clips": 24}
"""As ``health`` of `tiny_config`: samples are checked at every sheet, eight of each of three classes."""


def tiny_config(source, **training) -> Config:
    """A configuration that trains a step in a fraction of a second; samples are checked where ``health`` says so."""
    fields = {
        "steps": 4,
        "batch_size": 3,
        "d_steps": 2,
        "lr_g": 1e-3,
        "lr_d": 1e-3,
        "precision": "fp32",
        "memory_format": "contiguous",
        "checkpointing": "none",
        "log_every": 1,
        "sample_every": 100,
        "checkpoint_every": 100,
        "sample_clips": 1,
        "statistics_batches": 1,
        "health": {"clips": 0},
    }
    return Config(
        name="tiny",
        network=tiny_network(),
        data=DataConfig(source=str(source)),
        training=TrainingConfig(**(fields | training)),
    )


@pytest.fixture
def store(tmp_path):
    """Path of a small packed store."""
    return write_store(tmp_path / "store")


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """A model directory of a network trained for one step on three classes; only to be read."""
    folder = tmp_path_factory.mktemp("model")
    config = tiny_config(write_store(folder / "store"), steps=1)
    return train(config, folder / "run", say=lambda text: None)


@pytest.fixture
def begun(model_dir, tmp_path):
    """The directory of a run that has done one step of `tiny_config` on the clips of `store`."""
    return shutil.copytree(model_dir.parent, tmp_path / "run")
