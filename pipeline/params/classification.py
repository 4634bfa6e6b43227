"""What params.yaml says of classification's base method (method page, section 7)."""

from __future__ import annotations

from pydantic import Field

from pipeline.params.section import Section, Weight


class Sdat(Section):
    """SDAT (Rangwani et al., 2022): conditional adversarial loss, class confusion, sharpness-aware steps."""

    rho: float = Field(
        default=0.02,
        ge=0,
        le=10,
        description="length of the way uphill before the gradient is taken; paper 0.02, 0: a plain step",
    )
    temperature: float = Field(
        default=3.0, gt=0, le=100, description="of the class confusion; paper 2 for a ViT, 3 for a ResNet"
    )
    adversarial_weight: Weight = Field(
        default=1.0, description="of the conditional adversarial loss; paper 1"
    )
    confusion_weight: Weight = Field(default=1.0, description="of the class confusion; paper 1")
    probability_weight: bool = Field(
        default=True,
        description="the masked loss counts a picture by the teacher's probability of its label",
    )
    probability_uphill_alone: bool = Field(
        default=False,
        description="the probability counts on the way uphill alone, and not in the gradient that is applied, as in "
        "the published code",
    )
