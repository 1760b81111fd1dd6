"""Function kinds: what a call of a PyTorch function does with a layer's signal, told by its name."""

from __future__ import annotations

from functools import cache

from nnlab.activation_calls import base_name, is_activation_name

_NORMS = frozenset(
    ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm")
)
_LINEAR = frozenset((
    "linear", "bilinear", "embedding", "embedding_bag", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "matmul", "rmatmul", "mm", "bmm", "addmm", "baddbmm", "einsum",
    "tensordot",
))  # fmt: skip
# Between a layer and its activation these change shape, scale or precision, but not what is meant.
_SHAPING = frozenset((
    "view", "view_as", "reshape", "reshape_as", "flatten", "ravel", "unflatten", "permute", "transpose", "t",
    "swapaxes", "swapdims", "movedim", "moveaxis", "contiguous", "squeeze", "unsqueeze", "expand", "clone",
    "to", "type", "type_as", "float", "half", "bfloat16", "double", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "max_pool1d", "max_pool2d",
    "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "lp_pool2d",
    "max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices", "interpolate",
    "pixel_shuffle",
))  # fmt: skip
_CUTTING = frozenset((
    "chunk", "split", "split_with_sizes", "tensor_split", "unbind", "getitem", "narrow", "select"
))  # fmt: skip
# Questions about tensors, whose answers are none.
_ASKING = frozenset((
    "size", "dim", "ndimension", "numel", "nelement", "stride", "is_floating_point", "is_complex", "item",
    "tolist", "numpy", "len", "bool", "int", "format", "repr", "hash", "register_hook", "retain_grad", "set",
    "is_contiguous", "element_size", "data_ptr", "storage_offset", "get_device", "set_grad_enabled",
))  # fmt: skip
_ADDING = frozenset(("add", "radd", "iadd", "sub", "rsub", "isub", "subtract"))
_SCALING = frozenset(("mul", "rmul", "imul", "multiply", "div", "truediv", "itruediv", "divide"))


@cache
def kind_of(name: str) -> str:
    """Tell what calls of a function mean to a probe."""
    if name == "__get__":
        return "attribute"
    if is_activation_name(name):
        return "activation"
    base = base_name(name)
    kinds = {
        "product": _LINEAR,
        "norm": _NORMS,
        "shaping": _SHAPING,
        "cutting": _CUTTING,
        "adding": _ADDING,
        "scaling": _SCALING,
        "question": _ASKING,
    }
    return next((kind for kind, names in kinds.items() if base in names), "other")
