"""Operations, and bytes of tensors, of what runs on PyTorch's meta device, which allocates and computes nothing."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Counter(TorchDispatchMode):
    """Counts operations, and follows the bytes of tensors that are made within it.

    PyTorch's `FlopCounterMode` has the same formulas, but leaves cycles behind that keep a step's tensors alive.

    Args:
        networks: whose weights and buffers were there before; views of them are nothing new.

    Attributes:
        flops: floating-point operations.
        now: bytes that are held.
        peak: the most that were.
    """

    def __init__(self, networks: Iterable[torch.nn.Module]) -> None:
        super().__init__()
        self.flops = self.now = self.peak = 0
        self._held = {
            tensor.untyped_storage()._cdata for net in networks for tensor in (*net.parameters(), *net.buffers())
        }

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.flops += formula(*args, **kwargs, out_val=made)
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._hold(tensor.untyped_storage())
        return made

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._held:
            self._held.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._held.discard(key)
        self.now -= size
