"""A CUDA device that is not there: tensors on it live on the CPU and are labelled, and no operation may mix the two.

Real CUDA refuses to compute with tensors of two devices, but for numbers without an axis and for indices on the CPU.
This mode does the same on a machine without one, so that a tensor that is made on the wrong device is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
INDEXING = {Tensor.__getitem__, Tensor.__setitem__}
COPYING = {Tensor.to, Tensor.cpu, Tensor.cuda, Tensor.copy_, Tensor.__deepcopy__}
FREE = {
    "__get__", "__set__", "dim", "size", "numel", "is_floating_point", "is_complex", "data_ptr", "untyped_storage",
    "requires_grad_", "__repr__", "__hash__", "grad", "backward", "register_hook", "__len__", "type",
    "_has_compatible_shallow_copy_type", "_fused_adamw_",  # gradients are made by autograd, which labels none
}  # fmt: skip


class FakeCuda(TorchFunctionMode):
    """Context in which `device="cuda"` works on a machine without CUDA, and mixing devices is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.on_cuda: dict[int, Any] = {}  # storages by address; held, so that no other takes the address
        self.n_operations = 0

    def _storage(self, tensor: Tensor) -> Any:
        with torch._C.DisableTorchFunction():
            return tensor.untyped_storage()

    def is_cuda(self, tensor: Tensor) -> bool:
        storage = self._storage(tensor)
        return storage.data_ptr() in self.on_cuda and storage.nbytes() > 0

    def label(self, tensor: Tensor) -> Tensor:
        storage = self._storage(tensor)
        if storage.nbytes():
            self.on_cuda[storage.data_ptr()] = storage
        return tensor

    def tensors(self, values: Any) -> Iterable[Tensor]:
        if isinstance(values, Tensor):
            yield values
        elif isinstance(values, dict):
            for value in values.values():
                yield from self.tensors(value)
        elif isinstance(values, list | tuple):
            for value in values:
                yield from self.tensors(value)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "__get__" and getattr(func, "__self__", None) is Tensor.device:
            return CUDA if self.is_cuda(args[0]) else CPU
        if func in COPYING:
            return self._copied(func, args, kwargs)
        given = list(self.tensors([args, kwargs]))
        cuda = [one for one in given if self.is_cuda(one)]
        device = kwargs.get("device")
        if device is not None:
            kwargs["device"] = CPU
        if name in FREE or func in (torch.is_grad_enabled,):
            return func(*args, **kwargs)
        if cuda and name in ("numpy", "from_numpy", "__array__"):
            raise AssertionError(f"{name} of a tensor on CUDA")
        checked = self.tensors(args[:1]) if func in INDEXING else given
        sized = [one for one in checked if one.dim() > 0 and self._storage(one).nbytes()]
        mixed = cuda and not all(self.is_cuda(one) for one in sized)
        if func is Tensor.__getitem__ and cuda and not self.is_cuda(args[0]) and args[0].dim() > 0:
            mixed = bool(self._storage(args[0]).nbytes())
        if mixed:
            raise AssertionError(
                f"{name}: tensors of two devices, {[(tuple(one.shape), self.is_cuda(one)) for one in given]}"
            )
        if cuda and kwargs.get("generator") is not None:
            raise AssertionError(f"{name}: a generator on the CPU for a tensor on CUDA")
        result = func(*args, **kwargs)
        self.n_operations += bool(cuda)
        made_there = device is not None and torch.device(device).type == "cuda"
        like = device is None and bool(cuda)
        if made_there or like:
            for one in self.tensors(result):
                self.label(one)
        return result

    def _copied(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        if func is Tensor.copy_:
            return func(*args, **kwargs)
        source = args[0]
        if func is Tensor.__deepcopy__:
            copied = func(*args, **kwargs)
            return self.label(copied) if self.is_cuda(source) else copied
        wanted = [one for one in (*args[1:], kwargs.get("device")) if isinstance(one, str | torch.device)]
        target = CPU if func is Tensor.cpu else CUDA if func is Tensor.cuda else None
        if target is None:
            target = torch.device(wanted[0]) if wanted else None
        others = [one for one in args[1:] if isinstance(one, Tensor)]
        if target is None and others:
            target = CUDA if self.is_cuda(others[0]) else CPU
        ours = CUDA if self.is_cuda(source) else CPU
        if target is None or target.type == ours.type:
            rest = [one for one in args[1:] if not isinstance(one, str | torch.device)]
            named = {name: value for name, value in kwargs.items() if name != "device"}
            if func in (Tensor.cpu, Tensor.cuda) or not (rest or named):
                return source
            result = func(source, *rest, **named)
            return self.label(result) if ours == CUDA else result
        dtypes = [one for one in (*args[1:], kwargs.get("dtype")) if isinstance(one, torch.dtype)]
        dtypes += [one.dtype for one in others]
        with torch._C.DisableTorchFunction():
            result = source.clone() if not dtypes else source.to(dtypes[0]).clone()
        return self.label(result) if target.type == "cuda" else result
