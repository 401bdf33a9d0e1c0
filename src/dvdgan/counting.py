"""Operations, and bytes of tensors, of what runs on PyTorch's meta device, which allocates and computes nothing."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

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
        self._known: dict[Any, tuple[Any, ...] | None] = {}  # what an operation made of such arguments before
        self._held = {
            tensor.untyped_storage()._cdata for net in networks for tensor in (*net.parameters(), *net.buffers())
        }

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        made = self._made(func, args, kwargs)
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.flops += formula(*args, **kwargs, out_val=made)
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._hold(tensor.untyped_storage())
        return made

    def _made(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What an operation makes; of one that makes a single new tensor, PyTorch is asked but once.

        Its meta operations are slow: many are composed of others, in Python.
        """
        if "view" in func.tags or any(result.alias_info is not None for result in func._schema.returns):
            return func(*args, **kwargs)
        key = (func, _described(args), _described(tuple(kwargs.items())))
        try:
            known = self._known.get(key)
        except TypeError:  # an argument that cannot be hashed
            return func(*args, **kwargs)
        if known is not None:
            shape, stride, dtype = known
            return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
        made = func(*args, **kwargs)
        if isinstance(made, Tensor) and made.is_meta and made.storage_offset() == 0:
            self._known[key] = made.shape, made.stride(), made.dtype
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


def _described(value: Any) -> Any:
    """A value, in which every tensor stands for all tensors of its shape, strides and type."""
    if isinstance(value, Tensor):
        return Tensor, value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, (list, tuple)):
        return tuple([_described(part) for part in value])
    return type(value), value
