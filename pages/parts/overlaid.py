"""The section that lays configurations over each other: training, verdict, charts, difference table."""

from __future__ import annotations

from functools import partial

import streamlit as st

from nnlab.overlay import MOST, Group, by_configuration, common, labels, same_but_seed, shared_steps
from nnlab.overlay_job import OverlayJob, seeds_plans
from nnlab.overlay_stored import stored_groups
from nnlab.spreadsheet import as_text
from pages.parts import brought, compared, training
from pages.parts.address import Address
from pages.parts.complaint import complain
from pages.parts.figure import picture
from pages.parts.first_sight import let_paint
from pages.parts.pair import side_by_side
from pages.parts.plain import plain
from pages.parts.save import save_table
from pages.parts.step_slider import step_slider

NAME = compared.NAME
# While they train; the others need the machine that trains.
LIVE = ("loss", "test_accuracy", "gradient_ratio", "delta_norm")
FIRST_CHARTS = ("delta_norm", "loss")  # the picture that tells most, and what it leads to


@st.cache_resource(show_spinner=False)
def _stored() -> tuple[Group, ...]:
    """Read the comparison that is shown on a first visit; it is shared, and nobody changes it."""
    return stored_groups()


def _trained(address: Address) -> tuple[Group, ...]:
    """Give the latest job's configurations, else the stored ones; () while there is no record yet."""
    job = training.job(address, NAME)
    if job is None:
        return _stored()
    return by_configuration([trajectory.run for trajectory in job.trajectories])


def overlaid(address: Address) -> None:
    """Draw the section."""
    wanted, seeds = compared.configs(address), address["seeds"]
    problem = compared.problem(address)
    training.train_or_stop(
        address, NAME, lambda: seeds_plans(wanted, seeds), problem=problem, kind=OverlayJob
    )
    live = training.is_live(address, NAME)
    training.messages(address, NAME, problem)
    trained = _trained(address)
    groups = (*trained, *brought.groups())
    if len(groups) > MOST:
        complain(f"{len(groups)} configurations are too many; the first {MOST} are shown", "overlaid")
        groups = groups[:MOST]
    if not groups:
        st.skeleton(height=420)
        return
    if not live and not problem:
        _say_difference(address, trained)
    if live:
        _charts(address, groups, LIVE, shared_steps(groups)[-1], live=True)
        return
    from nnlab.overlay_charts import DIAGNOSTICS  # loads Altair
    from nnlab.overlay_table import headline

    said = headline(groups)
    if said:
        with st.container(border=True, key="verdict"):
            st.markdown(f":material/gavel: **What came of it.** {plain(said)}")
    step = _step(address, groups)
    _charts(address, groups, FIRST_CHARTS, step)
    let_paint(address)
    _table(groups)
    _charts(address, groups, tuple(name for name in DIAGNOSTICS if name not in FIRST_CHARTS), step)
    _ways_to_the_lab(groups)


def _say_difference(address: Address, trained: tuple[Group, ...]) -> None:
    """Say where the choice is not what is shown."""
    wanted = compared.configs(address)
    shown = [group.config for group in trained if group.config is not None]
    is_same = len(shown) == len(wanted) and all(map(same_but_seed, shown, wanted))
    seeds = {len(group.runs) for group in trained}
    if not is_same or seeds != {address["seeds"]} or shown[0].seed != wanted[0].seed:
        words = "; ".join(labels(trained)) if len(trained) > 1 else "an earlier choice"
        count = "1 seed" if seeds == {1} else f"{max(seeds, default=0)} seeds"
        st.info(f"Below: {words}; {count} each. Press Train to see your choice.", icon=":material/history:")


def _table(groups: tuple[Group, ...]) -> None:
    from nnlab.overlay_table import difference_table, run_table

    st.markdown("**What differs, and what came of it**, at the last step: median (smallest to largest seed)")
    st.dataframe(
        difference_table(groups).rename(columns=as_text),
        hide_index=True,
        height="content",
        column_config={"what": st.column_config.TextColumn("", pinned=True)},
        key="difference_table",
    )
    save_table(lambda: run_table(groups), "compared_runs")


def _step(address: Address, groups: tuple[Group, ...]) -> int:
    steps = shared_steps(groups)
    if len(steps) == 1:
        return steps[0]
    return step_slider(
        address,
        NAME,
        steps,
        key=f"step_{NAME}_{groups[0].runs[0].serial}_{len(steps)}_{steps[-1]}",
        label="Step shown in every chart below",
        help="Unit counts, ranks and likeness are taken at some steps only; the nearest is shown and named.",
    )


def _charts(
    address: Address, groups: tuple[Group, ...], names: tuple[str, ...], step: int, *, live: bool = False
) -> None:
    from nnlab.overlay_charts import overlay

    known = [group.config for group in groups if group.config is not None]
    caption = f"{'; '.join(labels(groups))} · {common(known)}" if known else "; ".join(labels(groups))
    drawn = tuple((group.file, *(run.serial for run in group.runs)) for group in groups)
    drawings = [
        partial(
            picture,
            partial(overlay, name, groups, step),
            caption,
            "compare",
            live=live,
            same=(f"overlay_{name}", step, drawn),
        )
        for name in names
    ]
    for start in range(0, len(drawings), 2):
        side_by_side(*drawings[start : start + 2])


def _ways_to_the_lab(groups: tuple[Group, ...]) -> None:
    """Draw a link for every configuration that opens it in the lab."""
    st.caption("Look closer, or change one, in the lab:")
    with st.container(horizontal=True, gap="small", key="to_lab"):
        for group, label in zip(groups, labels(groups), strict=True):
            if group.config is not None and not group.file:
                st.page_link(
                    "dashboard.py", label=label, icon=":material/science:", width="content",
                    query_params=group.config.to_query(),
                )  # fmt: skip
