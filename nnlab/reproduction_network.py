"""The second half of a reproducing script as templates: network, weights, diagnostics, training."""

from __future__ import annotations

import textwrap

from nnlab.activations import ACTIVATIONS
from nnlab.initializers import INITIALIZERS
from nnlab.reproduction_facts import Facts
from nnlab.reproduction_text import TEXT_WIDTH, block, lines

OWN_ACTIVATION = block("""
    # torch.nn has no class for this activation.
    class NAME(nn.Module):
        def forward(self, z):
            return CODE
""")
NETWORK = block("""
    hidden = [HiddenLayer(INPUTS), *(HiddenLayer(WIDTH) for _ in range(DEPTH - 1))]
    network = nn.Sequential(*hidden, nn.Linear(WIDTH, OUTPUTS))
    linears = [*(layer.linear for layer in hidden), network[-1]]
""")
RESIDUAL_NETWORK = block("""
    # The first layer changes the space from inputs to units: it has nothing to add.
    hidden = [HiddenLayer(INPUTS, is_residual=False)]
    hidden += [HiddenLayer(WIDTH, is_residual=True) for _ in range(DEPTH - 1)]
    network = nn.Sequential(*hidden, nn.Linear(WIDTH, OUTPUTS))
    linears = [*(layer.linear for layer in hidden), network[-1]]
""")
NORMS = {"none": "", "batch": "nn.BatchNorm1d(WIDTH)", "layer": "nn.LayerNorm(WIDTH)"}


def network_part(facts: Facts) -> str:
    """Give the modules."""
    entry = ACTIVATIONS[facts.config.activation]
    if not entry.module and not entry.code:
        raise NotImplementedError(f"activation {entry.name}: its registry entry has neither module nor code")
    own = entry.name.capitalize()
    code = "" if entry.module else OWN_ACTIVATION.replace("NAME", own).replace("CODE", entry.code) + "\n\n\n"
    network = RESIDUAL_NETWORK if facts.config.residual else NETWORK
    if not facts.has_biases:
        network = network.replace("OUTPUTS)", "OUTPUTS, bias=False)")
    return f"{code}{_hidden_layer(facts, f'nn.{entry.module}' if entry.module else own)}\n\n\n{network}"


def _hidden_layer(facts: Facts, activation: str) -> str:
    norm, is_residual = NORMS[facts.config.normalization], facts.config.residual
    h = "self.activation(self.norm(self.linear(x)))" if norm else "self.activation(self.linear(x))"
    return lines(
        "class HiddenLayer(nn.Module):",
        f"    def __init__(self, fan_in{', is_residual' if is_residual else ''}):",
        "        super().__init__()",
        f"        self.linear = nn.Linear(fan_in, WIDTH{'' if facts.has_biases else ', bias=False'})",
        f"        self.norm = {norm}" if norm else "",
        f"        self.activation = {activation}()",
        "        self.is_residual = is_residual" if is_residual else "",
        "\n    def forward(self, x):",
        f"        h = {h}" if is_residual else f"        return {h}",
        "        return h + x if self.is_residual else h" if is_residual else "",
    )


FIT = block("""
    # LSUV (Mishkin & Matas 2016): layer after layer, the weights are divided by the
    # standard deviation of z on training examples until the variance of z is about 1.
    with torch.no_grad():
        h = x_train[:1024]
        for layer, linear in zip(network, linears):
            for _ in range(10):
                variance = linear(h).var(correction=0)
                if abs(variance - 1) < 0.1 or not variance > 0:
                    break
                linear.weight.div_(variance.sqrt())
            h = layer(h)
""")
FIT_BATCH_NORM = (
    f"network.eval()  # normalize by the running statistics, which are still 0 and 1\n{FIT}\nnetwork.train()"
)
GAIN = block("""
    with torch.no_grad():
        for linear in linears:
            linear.weight.mul_(GAIN)
""")


def weights_part(facts: Facts) -> str:
    """Give how the weights start."""
    config, entry = facts.config, INITIALIZERS[facts.config.initializer]
    biases = _biases(entry.bias_code, has_biases=facts.has_biases)
    is_random = "generator" in entry.code + biases
    fit = FIT_BATCH_NORM if config.normalization == "batch" else FIT
    return lines(
        "# nn.Linear has drawn some already, from the process's own generator: draw them anew.",
        'generator = torch.Generator().manual_seed(stream_seed("weights"))' if is_random else "",
        "for linear in linears:",
        textwrap.indent(lines(block(entry.code), biases), "    "),
        f"\n{fit}" if entry.fitted_to_data else "",
        f"\n{GAIN}" if config.gain != 1 else "",
    )


def _biases(bound: str, *, has_biases: bool) -> str:
    if not bound:
        return "nn.init.zeros_(linear.bias)" if has_biases else ""
    # nnlab draws them even where there are none, so that the weights are the same with and without.
    bias = "linear.bias" if has_biases else "torch.empty(linear.out_features)"
    why = "" if has_biases else "# Drawn even without biases: the weights are then the same as with them.\n"
    return f"{why}bound = {bound}\nnn.init.uniform_({bias}, -bound, bound, generator=generator)"


DIAGNOSTICS = block('''
    # A layer's error signal is delta = dLoss/dz, where z is the input of its activation.
    # PyTorch keeps gradients of parameters only; retain_grad asks it to keep this one too.
    kept = []


    def keep(activation, inputs, h):
        """Forward hook: keep z and h = activation(z); backward() leaves delta in z.grad."""
        (z,) = inputs
        z.retain_grad()
        kept.append((z, h.detach()))


    def slope_of(activation, z):
        """Give |activation'(z)| as the backward pass computes it."""
        z = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(activation(z).sum(), z)
        return slope.abs()


    def norm(values):
        """Give the length; the squares of a vanished signal would be 0 in float32."""
        return values.double().norm()


    def print_row(name, *numbers):
        print(name, *(f"{float(number):.9g}" for number in numbers))
''')


def diagnostics_part() -> str:
    """Give the hook and what is measured with it."""
    return DIAGNOSTICS


OPTIMIZERS = {
    "sgd": ("SGD", ""),
    "momentum": ("SGD", ", momentum=0.9"),
    "adam": ("Adam", ", fused=True"),
    "adamw": ("AdamW", ", fused=True"),
    "rmsprop": ("RMSprop", ""),
}
FUSED = "# fused is the kernel that made the run; PyTorch's others round differently."
TRAINING = block("""
    for step, rows in zip(range(STEPS + 1), batches()):
        is_last = step == STEPS
        watched = hidden if is_last else []
        hooks = [layer.activation.register_forward_hook(keep) for layer in watched]
        outputs = network(x_train[rows])
        outputs.retain_grad()
        for hook in hooks:
            hook.remove()
        loss = LOSS
        optimizer.zero_grad()
        loss.backward()
        if IS_RECORDED:
            print(step, loss.item(), flush=True)
        if not is_last:  # step s shows the network after s updates: none follows the last
            optimizer.step()
""")
CLIP = """
        # Clipped after recording, which is to show the gradients as they came.
        nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
"""


def training_part(facts: Facts) -> str:
    """Give the loop."""
    config = facts.config
    is_recorded = "step in RECORDED_STEPS" if facts.every is None else "step % RECORD_EVERY == 0 or is_last"
    loop = TRAINING.replace("LOSS", _loss(facts)).replace("IS_RECORDED", is_recorded)
    if config.clip_norm is not None:
        loop = loop.replace("\n        optimizer.step()", f"{CLIP}        optimizer.step()")
    return lines(_optimizer(facts), loop)


def _optimizer(facts: Facts) -> str:
    name, options = OPTIMIZERS[facts.config.optimizer]
    decay = ", weight_decay=WEIGHT_DECAY" if facts.has_weight_decay else ""
    arguments = f"network.parameters(), lr=LEARNING_RATE{options}{decay}"
    line = f"optimizer = torch.optim.{name}({arguments})"
    broken = f"optimizer = torch.optim.{name}(\n    {arguments}\n)"
    return lines(FUSED if "fused" in options else "", line if len(line) <= TEXT_WIDTH else broken)


def _loss(facts: Facts) -> str:
    if facts.config.loss == "cross_entropy":
        return "F.cross_entropy(outputs, y_train[rows])"
    if facts.is_regression:
        return "F.mse_loss(outputs, y_train[rows].unsqueeze(1))"
    return "F.mse_loss(outputs, F.one_hot(y_train[rows], OUTPUTS).float())"


LAYERS = block("""
    print()
    print("layer delta_norm weight_grad_norm slope_mean saturation activation_std")
    for number, (layer, (z, h)) in enumerate(zip(hidden, kept), start=1):
        slope = slope_of(layer.activation, z)
        is_flat = FLAT
        print_row(
            f"hidden_{number}",
            norm(z.grad),
            norm(layer.linear.weight.grad),
            slope.double().mean(),
            is_flat.double().mean(),
            h.double().std(correction=0),
        )
    nan = float("nan")  # the output layer has no activation
    print_row("output", norm(outputs.grad), norm(network[-1].weight.grad), nan, nan, nan)
""")
UNDEFINED = """
    if z.isnan().any():  # nothing can be counted any more
        slope = is_flat = torch.tensor(float("nan"))"""


def layers_part(facts: Facts) -> str:
    """Give the table of the last recorded step."""
    is_never_steep = ACTIVATIONS[facts.config.activation].slope_sup == 0
    flat = "slope == 0  # everywhere, whatever z is" if is_never_steep else "slope < SATURATED * STEEPEST"
    return LAYERS.replace("FLAT", flat + (UNDEFINED if facts.is_undefined else ""))
