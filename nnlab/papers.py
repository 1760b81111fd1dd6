"""Papers: the registry of published figures that are measured here; one entry is one card everywhere."""

from __future__ import annotations

from nnlab import (
    glorot_papers,
    hanin_fluctuation,
    he_2015,
    klambauer_fixed_point,
    lu_born_dead,
    makemore,
    saxe_modes,
    saxe_times,
    schoenholz_depth,
    yang_explosion,
)
from nnlab.paper import Paper

PAPERS: dict[str, Paper] = {
    paper.name: paper
    for paper in (
        *glorot_papers.PAPERS,
        he_2015.DEPTH,
        makemore.MAKEMORE,
        saxe_times.TIMES,
        saxe_modes.MODES,
        schoenholz_depth.DEPTH,
        klambauer_fixed_point.FIXED_POINT,
        hanin_fluctuation.FLUCTUATION,
        lu_born_dead.BORN_DEAD,
        yang_explosion.EXPLOSION,
    )
}
