"""Class-share prior: pseudo labels drawn towards the class shares of the source labels.

Distribution alignment (Berthelot et al., ReMixMatch, ICLR 2020) with a strength of its own; not in the paper. A class
that the teacher sees more often than the source shows it loses, one that it overlooks gains.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.edge.classes import NUM_CLASSES

_DECAY = 0.99  # a step's; shares are those of about the last hundred batches
_FLOOR = 1e-4  # added to shares: a class that neither side shows stays as it is


class ClassPrior:
    """Multiplies probabilities by (share in the source / share in the teacher's answers) ** `strength`."""

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self.source = torch.zeros(NUM_CLASSES)
        self.answers = torch.zeros(NUM_CLASSES)

    @torch.no_grad()
    def align(self, logits: Tensor, source_label: Tensor) -> Tensor:
        """Count a batch, then align it: logits (B, C, H, W) on the target, train ids (B, H', W') on the source."""
        labelled = source_label[source_label < NUM_CLASSES]
        self.source = _followed(self.source, torch.bincount(labelled, minlength=NUM_CLASSES))
        self.answers = _followed(self.answers, logits.float().softmax(dim=1).mean(dim=(0, 2, 3)))
        ratio = (_shares(self.source) + _FLOOR) / (_shares(self.answers) + _FLOOR)
        # A factor of the probabilities is a summand of the logits.
        return logits + self.strength * ratio.log().view(1, -1, 1, 1)

    def state_dict(self) -> dict[str, Tensor]:
        """Both sums of shares."""
        return {"source": self.source, "answers": self.answers}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict`."""
        self.source, self.answers = state["source"], state["answers"]


def _shares(sums: Tensor) -> Tensor:
    return sums / sums.sum().clamp(min=_FLOOR)


def _followed(sums: Tensor, counts: Tensor) -> Tensor:
    return _DECAY * sums.to(counts.device) + _shares(counts.float())
