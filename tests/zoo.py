"""The zoo: small networks written as people write them, each with its forward pass once more by hand."""

from __future__ import annotations

import zoo_attention
import zoo_convolutional
import zoo_plain
import zoo_recurrent

ZOO = (
    *zoo_plain.ANIMALS,
    *zoo_convolutional.ANIMALS,
    *zoo_recurrent.ANIMALS,
    *zoo_attention.ANIMALS,
)
