"""Surface: what a network answers over a window of the plane: class shares, boundary, single neurons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.network import Network
from nnlab.palette import ZERO_COLOR, interpolate

PADDING = 0.15  # of the points' extent on each side, so that no point lies on the frame
# Two answers closer than this are no decision: it is what a linear network is left with at its optimum,
# where rounding or the last steps of training would otherwise decide by chance.
UNDECIDED_WITHIN = 1e-3
MAX_SEGMENTS = 400  # marks of a boundary; more take the browser longer than a repaint may
# Half a pixel of the drawn grid: a boundary bent by less cannot be seen to bend.
STRAIGHT_PIXELS = 0.5
COLORS = 255  # of an image's 256 colors; the last one is for NaN
NAN_INDEX = 255


@dataclass(frozen=True)
class Window:
    """A rectangle of the plane, in the network's input units."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    @property
    def size(self) -> float:
        """The longer side."""
        return max(self.x_high - self.x_low, self.y_high - self.y_low)


def window_of(points: np.ndarray) -> Window:
    """Give the padded square around points of shape (points, 2); 1 to each side of a single point.

    Raises:
        ValueError: there is no point, or one is not finite.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"points: shape {points.shape} is not allowed; allowed: (n, 2), n >= 1, all finite")
    low, high = points.min(axis=0), points.max(axis=0)
    x_middle, y_middle = (float(middle) for middle in (low + high) / 2)
    half = (0.5 + PADDING) * float((high - low).max())
    # Relative to where the points lie: a spread below rounding cannot be divided into pixels.
    if half <= 1e-9 * max(1.0, abs(x_middle), abs(y_middle)):
        half = max(1.0, abs(x_middle), abs(y_middle))
    return Window(x_middle - half, x_middle + half, y_middle - half, y_middle + half)


def _check_network(network: Network) -> None:
    inputs, outputs = network.widths[0], network.widths[-1]
    if inputs != 2:
        raise ValueError(f"network: {inputs} inputs are not allowed; allowed: 2, the plane's coordinates")
    if outputs not in (1, 2):
        raise ValueError(f"network: {outputs} outputs are not allowed; allowed: 1 (a score) or 2 (classes)")


def _outputs(network: Network, points: np.ndarray) -> np.ndarray:
    """Compute outputs in the network's own precision; overflow is a result."""
    with np.errstate(over="ignore", invalid="ignore"):
        return network.outputs(points.astype(network.layers[0].weight.dtype))


def margin(network: Network, points: np.ndarray) -> np.ndarray:
    """Give how far each of (points, 2) is on the side of class 1, shape (points,).

    With two outputs the difference of the two, with one the score minus 0.5; class 1 is where it is
    positive, and the boundary where it is 0.
    """
    _check_network(network)
    outputs = _outputs(network, points)
    with np.errstate(invalid="ignore"):
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs[:, 0] - 0.5


def share_at(network: Network, points: np.ndarray) -> np.ndarray:
    """Give the probability of class 1 at (points, 2), shape (points,).

    Two outputs: their softmax. One output: a score, as one trained by squared error on 0 and 1; it is
    cut to 0..1.
    """
    margins = margin(network, points)
    if network.widths[-1] == 1:
        return np.clip(margins + 0.5, 0.0, 1.0)
    # The softmax of two numbers is the sigmoid of their difference.
    return ACTIVATIONS["sigmoid"].function(margins)


def right_share(network: Network, points: np.ndarray, labels: np.ndarray) -> float:
    """Give the share of points on their class's side; an undefined answer is wrong, no points are NaN."""
    if not len(labels):
        return float("nan")
    margins = margin(network, points)
    answers = np.where(np.isnan(margins), -1, margins > 0)
    return float((answers == labels).mean())


def pixel_centers(window: Window, resolution: int) -> np.ndarray:
    """Give the centers of resolution x resolution pixels, shape (pixels, 2), the top row first."""
    if resolution < 1:
        raise ValueError(f"resolution: {resolution} is not allowed; allowed: a whole number >= 1")
    steps = (np.arange(resolution) + 0.5) / resolution
    return _grid(window, steps)


def _grid(window: Window, steps: np.ndarray) -> np.ndarray:
    """Give a grid of (points, 2), `steps` from 0 to 1 of the window, rows from the top."""
    x = window.x_low + steps * (window.x_high - window.x_low)
    y = window.y_high - steps * (window.y_high - window.y_low)
    return np.stack([np.tile(x, len(steps)), np.repeat(y, len(steps))], axis=1)


def class_share(network: Network, window: Window, resolution: int) -> np.ndarray:
    """Give the probability of class 1 (see `share_at`) at pixel centers, (resolution, resolution).

    Row 0 is the top of the picture, the largest y.

    Raises:
        ValueError: the network has not 2 inputs, or not 1 or 2 outputs.
    """
    return share_at(network, pixel_centers(window, resolution)).reshape(resolution, resolution)


def neuron_maps(network: Network, window: Window, resolution: int) -> list[np.ndarray]:
    """Give each hidden layer's activations h at pixel centers, float32 (units, resolution, resolution).

    Row 0 of an image is its top, the largest y.

    Raises:
        ValueError: the network has not 2 inputs, or not 1 or 2 outputs.
    """
    _check_network(network)
    centers = pixel_centers(window, resolution).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        passes = network.astype(np.float32).forward(centers)
    return [taken.h.T.reshape(-1, resolution, resolution) for taken in passes[:-1]]


def boundary(network: Network, window: Window, resolution: int) -> np.ndarray:
    """Give the line between the classes as at most `MAX_SEGMENTS` pieces, (segments, 4): x, y, x2, y2.

    Marching squares (Lorensen & Cline 1987, in two dimensions) over `margin` on a grid that reaches the
    window's edges. A boundary of too many pieces is drawn from a coarser grid.

    Raises:
        ValueError: the network has not 2 inputs, or not 1 or 2 outputs.
    """
    while True:
        points = _grid(window, np.linspace(0.0, 1.0, resolution + 1))
        values = margin(network, points).astype(np.float64)
        segments = _marching_squares(
            points.reshape(resolution + 1, -1, 2), values.reshape(resolution + 1, -1)
        )
        if len(segments) <= MAX_SEGMENTS:
            return segments
        resolution //= 2


def is_undecided(network: Network, window: Window, resolution: int) -> bool:
    """Whether a network says neither class anywhere in a window: every share is one half, or nearly so."""
    shares = class_share(network, window, resolution)
    return bool((np.abs(shares - 0.5) <= UNDECIDED_WITHIN).all())


# The corners of a cell around its center; edge k runs from corner k to corner k + 1.
_CORNERS = ((0, 0), (0, 1), (1, 1), (1, 0))


def _marching_squares(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Give the pieces of the line values == 0: points (rows, columns, 2), values (rows, columns)."""
    rows, columns = values.shape[0] - 1, values.shape[1] - 1
    corner_points = [points[r : r + rows, c : c + columns].reshape(-1, 2) for r, c in _CORNERS]
    finite = np.where(np.isfinite(values), values, 0.0)
    corner_values = [finite[r : r + rows, c : c + columns].ravel() for r, c in _CORNERS]
    # A cell with an undefined corner holds no line.
    usable = np.all([np.isfinite(values)[r : r + rows, c : c + columns].ravel() for r, c in _CORNERS], axis=0)
    crossings, crossed = [], []
    for edge in range(4):
        following = (edge + 1) % 4
        start, end = corner_values[edge], corner_values[following]
        crossed.append(usable & ((start > 0) != (end > 0)))
        share = np.where(crossed[-1], start / np.where(crossed[-1], start - end, 1.0), 0.0)[:, None]
        crossings.append(corner_points[edge] + share * (corner_points[following] - corner_points[edge]))
    center = np.mean(corner_values, axis=0)
    return _join(crossings, np.array(crossed), (center > 0) == (corner_values[0] > 0))


def _join(crossings: list[np.ndarray], crossed: np.ndarray, keeps_first: np.ndarray) -> np.ndarray:
    """Join the crossed edges of every cell; `keeps_first` settles saddles, where all four are crossed.

    There, a center on the side of corner 0 joins corners 0 and 2, so the line cuts off 1 and 3.
    """
    saddle = crossed.all(axis=0)
    plain = crossed & ~saddle
    pieces = []
    for first in range(4):
        for second in range(first + 1, 4):
            chosen = plain[first] & plain[second]
            if (first, second) in ((0, 1), (2, 3)):  # around corner 1, around corner 3
                chosen = chosen | (saddle & keeps_first)
            elif (first, second) in ((1, 2), (0, 3)):  # around corner 2, around corner 0
                chosen = chosen | (saddle & ~keeps_first)
            pieces.append(np.hstack([crossings[first][chosen], crossings[second][chosen]]))
    segments = np.concatenate(pieces)
    return segments[(segments[:, :2] != segments[:, 2:]).any(axis=1)]


def is_affine(network: Network) -> bool:
    """Whether no activation stands between the layers, so that they are one affine map."""
    return all(layer.activation == "identity" for layer in network.layers)


def is_straight(segments: np.ndarray, window: Window, resolution: int) -> bool:
    """Whether all ends of a boundary lie within half a pixel of one line."""
    if not len(segments):
        return False
    ends = segments.reshape(-1, 2)
    centered = ends - ends.mean(axis=0)
    # The direction across the best line through the ends: the one in which they spread least.
    across = np.linalg.svd(centered, full_matrices=False)[2][-1]
    allowed = STRAIGHT_PIXELS * window.size / resolution
    return bool(np.abs(centered @ across).max() <= allowed)


@lru_cache(maxsize=16)
def _color_table(stops: tuple[str, ...]) -> bytes:
    """Give the 256 colors of an image as red, green, blue bytes, the last one for NaN."""
    colors = [interpolate(stops, place / (COLORS - 1)) for place in range(COLORS)]
    return b"".join(bytes.fromhex(color[1:]) for color in [*colors, ZERO_COLOR])


def to_png_url(values: np.ndarray, stops: tuple[str, ...], low: float, high: float) -> str:
    """Give values of shape (height, width) as the data URL of a PNG, colored along `stops`.

    `low` and below take the first color, `high` and above the last; NaN is gray. Where `low` equals
    `high` there is no scale, and every value takes the middle color.

    Raises:
        ValueError: `values` has not two dimensions, or the range is not finite or not ascending.
    """
    import base64
    import io

    from PIL import Image

    if values.ndim != 2 or not values.size:
        raise ValueError(f"values: shape {values.shape} is not allowed; allowed: (height, width), not empty")
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"low, high: {low}, {high} is not allowed; allowed: finite numbers, low <= high")
    span = float(high) - float(low)
    # Not minus low first: that would take inf for NaN.
    place = np.clip(values.astype(np.float64), low, high)
    place = (place - low) / span if span > 0 else np.where(np.isnan(place), np.nan, 0.5)
    index = np.where(np.isnan(place), NAN_INDEX, np.rint(np.nan_to_num(place) * (COLORS - 1)))
    image = Image.frombytes("P", values.shape[::-1], index.astype(np.uint8).tobytes())
    image.putpalette(_color_table(stops))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
