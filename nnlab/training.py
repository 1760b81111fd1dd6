"""Training: networks of one shape on their way from the first step to the end that each of them has."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from nnlab.autograd_learner import AutogradLearner
from nnlab.datasets import DATASETS
from nnlab.engine import covers
from nnlab.environment import describe_environment
from nnlab.learner import EngineLearner, Learner
from nnlab.member import Member
from nnlab.optimizer import UpdateOverflow
from nnlab.recorder import Scores, accuracy
from nnlab.run import is_probe_record
from nnlab.stop import Stop
from nnlab.trajectory import DATA_NOTES

# What the last records of runs that are broken off may take, of all networks of a job together, so that Stop
# keeps its half second: sixty networks of six layers would take over a second.
LAST_RECORDS_SECONDS = 0.2
# Seconds after which a last record that was guessed to be quick is given up.
LONGEST_END = 0.2
LOSS = "loss"


def unwarned() -> np.errstate:
    """Let NumPy compute with what is not finite: here that is a result, looked for and not warned of."""
    # Around whole trainings: around every step it would take three hundredths of a small network's time.
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


class Halt(Exception):
    """Leaves the loop, or a long measurement, with a status."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Training:
    """Networks of one shape that take every step together; each ends when it must."""

    def __init__(self, members: Sequence[Member], stop: Stop, give_up_at: float) -> None:
        self.members, self.config = members, members[0].config
        self._stop, self._give_up_at = stop, give_up_at
        self._learner = _make_learner(members)
        steps = self.config.recorded_steps
        self._recorded_steps = frozenset(steps[-1:] if members[0].ends_only else steps)
        probed = [step for number, step in enumerate(steps) if is_probe_record(number, last=False)]
        self._scored_steps = frozenset(probed if members[0].ends_only else ())
        self._is_over = self._was_still = False
        self.together: Sequence[Training] = ()  # those that end with it, itself among them
        self._record_seconds = 0.0  # what one network's latest record of the probe set took
        self._was_sound = True
        self._loaded_step: int | None = None
        self._running = dict(enumerate(members))
        for member in members:
            member.environment = {
                **describe_environment(self._learner.name),
                "dataset_sha256": member.data.sha256,
                **_file_notes(member),
            }

    def check(self) -> None:
        """Raise Halt where the run must end now, or its last record takes too long."""
        if self._is_over:
            if time.monotonic() > self._end_by:
                raise Halt("stopped")
            return
        if self._stop.is_set():
            raise Halt("stopped")
        if time.monotonic() > self._give_up_at:
            raise Halt("timed_out")

    def walk(self) -> Iterator[int]:
        """Train to the end, giving the step after each one; every member's status then says how it ended."""
        step = 0
        try:
            for step in range(self.config.steps + 1):
                self.check()
                self._step(step)
                yield step
                if not self._running:
                    return
            self._end_all("completed")
        except Halt as halt:
            self._record_the_end(step)
            self._end_all(halt.status)
        finally:
            self._learner.close()
            self.together = ()  # it refers to itself: its tensors would wait for a full collection

    @property
    def last_records_seconds(self) -> float:
        """Guess what a last record of each of its networks takes."""
        return self._record_seconds * len(self.members)

    def _end(self, number: int, status: str) -> None:
        self._learner.release(number)
        self._running.pop(number).status = status

    def _end_all(self, status: str) -> None:
        for number in tuple(self._running):
            self._end(number, status)

    def _record_the_end(self, step: int) -> None:
        """Let runs that are broken off end in a probe record of their last weights, where that is cheap.

        All that end together have one, or none. What a sweep breaks off is lost anyway.
        """
        unrecorded = [
            number
            for number, member in self._running.items()
            if member.records and member.records[-1].step != step and not member.ends_only
        ]
        if (
            not unrecorded
            or sum(t.last_records_seconds for t in self.together or (self,)) > LAST_RECORDS_SECONDS
        ):
            return
        self._is_over, self._end_by = True, time.monotonic() + LONGEST_END
        try:
            self._load(step)
            self._pass(watched=True)
            self._record(step, unrecorded, last=True)
        except Halt:
            pass  # numbers too small for float32 make every product ten times as long

    def _load(self, step: int) -> None:
        """Load a step's batch, once: a run may be broken off in the midst of the step."""
        if self._loaded_step == step:
            return
        self._loaded_step = step
        for number, member in self._running.items():
            self._learner.load(number, member.x, member.y, next(member.batches))

    def _pass(self, *, watched: bool) -> None:
        self._learner.forward_backward(watched=watched, check=self.check)

    def _step(self, step: int) -> None:
        last = step == self.config.steps
        is_recorded = step in self._recorded_steps
        self._load(step)
        self._pass(watched=is_recorded)
        # What an unsound step left in the optimizer is looked for at the next one, however sound that is.
        is_sound, self._was_sound = self._was_sound, self._learner.is_sound()
        broken = {} if is_sound and self._was_sound else self._offenders()
        stalled = [] if last else self._stalled(broken)
        sound = [number for number in self._running if number not in broken and number not in stalled]
        if is_recorded:
            self._record(step, sound, last=last)
        elif step in self._scored_steps:
            for number in sound:
                self.members[number].score(step)
        if broken:
            self._break_off(step, broken, is_recorded=False)
        if stalled:
            self._end_stalled(step, stalled, is_watched=is_recorded)
        if not last:
            self._update(step, is_recorded=is_recorded)

    def _offenders(self) -> dict[int, str]:
        """Name what was first not finite in each network where something was."""
        found = {number: self._offender(number) for number in self._running}
        return {number: offender for number, offender in found.items() if offender is not None}

    def _offender(self, number: int) -> str | None:
        """Name what is not finite, in the order it is computed: the last update came before the loss."""
        learner = self._learner
        looks = {
            "weights": learner.bad_weight,
            "optimizer's memory": learner.bad_state,
            LOSS: lambda number: None if learner.has_finite_loss(number) else "",
            "activations": learner.bad_activation,
            "gradient": learner.bad_gradient,
        }
        for quantity, look in looks.items():
            where = look(number)
            if where is not None:
                return f"{quantity}: {where}" if where else quantity
        return None

    def _record(self, step: int, numbers: Sequence[int], *, last: bool) -> None:
        """Add the record of a watched pass to some of the networks."""
        if not numbers:
            return
        measured = self._learner.measure()
        for number in numbers:
            member = self.members[number]
            member.infos = member.infos or self._learner.infos()
            scores = Scores(self._learner.loss(number), accuracy(*self._learner.scored(number)))
            begun = time.monotonic()
            member.record(step, measured[number], scores, self.check, last=last)
            if member.records[-1].is_probe:
                self._record_seconds = time.monotonic() - begun

    def _break_off(self, step: int, offenders: Mapping[int, str], *, is_recorded: bool) -> None:
        """End the networks that diverged, with a record of the offending step if there is none yet."""
        if not is_recorded:
            self._pass(watched=True)
        for number, offender in offenders.items():
            # A loss has no layer: which one it came through, the watched pass has left to be seen.
            came = self._learner.bad_activation(number) if offender == LOSS else None
            self.members[number].notes.append(
                f"step {step}: the first non-finite number was in the {offender}"
                + (f", by the activations of {came}" if came else "")
            )
        if not is_recorded:
            self._record(step, list(offenders), last=True)
        for number in offenders:
            self._end(number, "diverged")

    def _stalled(self, broken: Collection[int]) -> list[int]:
        """List the networks that nothing has moved for too long."""
        all_move = self._learner.all_move()
        if all_move and not self._was_still:
            return []
        self._was_still = not all_move
        # A loss of exactly 0 has a gradient of 0 because everything is learned.
        return [
            number
            for number, member in self._running.items()
            if number not in broken
            and member.count_still_steps(
                is_still=self._learner.is_still(number) and self._learner.loss(number) != 0
            )
        ]

    def _end_stalled(self, step: int, numbers: Sequence[int], *, is_watched: bool) -> None:
        """End networks that nothing moves in a probe record, as every last record is one."""
        if not is_watched:
            self._pass(watched=True)
        self._record(step, numbers, last=True)
        for number in numbers:
            self._end(number, "stalled")

    def _update(self, step: int, *, is_recorded: bool) -> None:
        if not self._running:
            return
        try:
            self._learner.update(watched=step + 1 in self._recorded_steps)
        except UpdateOverflow:
            offender = "update, which is too large for float32"
            self._break_off(step, dict.fromkeys(self._running, offender), is_recorded=is_recorded)


def _file_notes(member: Member) -> dict[str, str]:
    """Give what a file's data went through, where no configuration can tell it again."""
    is_file = DATASETS[member.config.dataset].needs_file
    return {DATA_NOTES: "; ".join(member.notes)} if is_file and member.notes else {}


def _make_learner(members: Sequence[Member]) -> Learner:
    config = members[0].config
    if covers(config):
        return EngineLearner([member.model for member in members], config, members[0].batch)
    (member,) = members
    return AutogradLearner(member.model, config)
