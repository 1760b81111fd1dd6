"""advice: what to change against a finding in a model that nnlab did not build, in words."""

from __future__ import annotations

ADVICE: dict[str, str] = {
    "diverged": "Lower the learning rate, clip the gradients, and look for a division by 0 or a logarithm of "
    "0 in the loss.",
    "stalled": "Look at the layer where the gradient ends first; then lower the learning rate, since large "
    "steps can push all units of a ReLU below 0.",
    "dead_layer": "Look at the start weights and the bias of this layer and at the size of its inputs. Units "
    "of leaky ReLU or GELU cannot die, and smaller steps do not push them below 0.",
    "exploding": "Start with smaller weights or put a normalization before the layer. Clipping "
    "(torch.nn.utils.clip_grad_norm_) keeps the steps small until then.",
    "vanishing": "Start the weights at the scale that fits the activation (He for ReLU, Xavier for tanh), "
    "put residual connections or normalization around the layers that lose the signal, and replace "
    "sigmoids between layers by tanh, ReLU or GELU.",
    "blocked": "Look behind this layer, toward the output, for a detach(), a no_grad(), a branch multiplied "
    "by 0, or weights that are all 0.",
    "saturating": "Normalize what goes into this activation, or start with smaller weights and biases; if it "
    "was not so at the start, lower the learning rate.",
    "dying": "Lower the learning rate, or warm it up; units of leaky ReLU or GELU cannot die.",
    "rank_collapse": "Put residual connections or batch normalization before this layer, or use fewer "
    "layers.",
    "updates_small": "Raise the learning rate, and look whether a schedule or clipping makes it tiny; if the "
    "signal is lost on the way, mend that first.",
    "updates_large": "Lower the learning rate, or warm it up.",
    "frozen": "If this is not on purpose, call requires_grad_(True) and give these weights to the optimizer.",
}
