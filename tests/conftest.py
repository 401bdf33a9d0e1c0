import pytest
import torch

from dvdgan.config import GeneratorConfig, NetworkConfig, SpatialConfig, TemporalConfig


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
def _threads():
    torch.set_num_threads(2)
