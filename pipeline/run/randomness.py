"""Randomness as a function of (seed, stream, step, rank): resume, worker and rank count need no saved state."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Independent sequences of one run."""

    WEIGHTS = 0
    METHOD = 1
    SOURCE_ORDER = 100
    TARGET_ORDER = 101
    SOURCE_AUGMENT = 102
    TARGET_AUGMENT = 103
    SOURCE_DARKEN = 104
    TARGET_CURRICULUM = 105
    RARE_CLASS = 106
    RARE_CLASS_CROP = 107
    EVALUATION_MASK = 200


def step_seed(seed: int, stream: Stream, step: int = 0, rank: int = 0) -> int:
    """A 63-bit seed for one generator of one step (or of one picture's place in the run)."""
    state = np.random.SeedSequence([seed, int(stream), step, rank]).generate_state(1, np.uint64)
    return int(state[0] >> 1)
