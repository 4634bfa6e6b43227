"""What the numbers of metrics/compare.json say, in plain sentences; also when they say little or bad news."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Tone = Literal["gain", "loss", "unclear", "unknown"]
LABELS = {
    "source_only": "source-only",
    "self_training": "self-training",
    "entropy_minimisation": "entropy minimisation",
    "adversarial": "adversarial training",
    "mic": "MIC",
    "distil": "the small student",
}


@dataclass(frozen=True)
class Verdict:
    """The headline of the report and the sentences below it."""

    tone: Tone
    headline: str
    detail: str


def points(share: float) -> str:
    """A score in 0..1 as points of 100."""
    return f"{100 * share:.1f}"


def percent(share: float) -> str:
    """A share in 0..1 as whole percent that never break from their sign."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def signed(share: float | None) -> str:
    """A difference of scores as signed points with a true minus; `no score` where unknown."""
    if share is None:
        return "no score"
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "\N{MINUS SIGN}")


def interval(ci95: list[float] | None) -> str:
    """`+1.0 to +2.0`, or a dash where there is none."""
    return "\N{EN DASH}" if ci95 is None else f"{signed(ci95[0])} to {signed(ci95[1])}"


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def tone_of(gain: float | None, ci95: list[float] | None) -> Tone:
    """A gain or loss only where the whole interval lies on one side of zero."""
    if gain is None:
        return "unknown"
    if ci95 is None or ci95[0] <= 0 <= ci95[1]:
        return "unclear"
    return "gain" if gain > 0 else "loss"


def judge(compare: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> Verdict:
    """The verdict on `compare` (metrics/compare.json), given the metrics of baseline and method."""
    target = compare["target"]
    baseline, method = LABELS[compare["baseline"]], LABELS[compare["method"]]
    pictures = f"{listed(sorted(target['conditions'])) or 'target'} pictures"
    count = after["protocol"]["images"]["target"]
    gain, ci95 = target["miou_gain"], target["miou_gain_ci95"]
    tone = tone_of(gain, ci95)
    if gain is None:
        return Verdict(
            tone, f"No score can be given: these {pictures} have no labels.", _without_labels(compare)
        )
    old, new = points(before["target"]["miou"]), points(after["target"]["miou"])
    change = f"from {old} to {new} of 100 points"
    if ci95 is None:
        headline = f"One labelled picture is too few to judge: there {method} moves the score {change}."
        return Verdict(tone, headline, "An uncertainty needs at least two labelled target pictures.")
    sure = (
        f"The difference is {signed(gain)} points; with another choice of {count} such pictures it would lie "
        f"between {interval(ci95).replace(' to ', ' and ')} in 95 of 100 cases."
    )
    match tone:
        case "gain":
            headline = f"Adaptation helps: {method} raises the score on {pictures} {change}."
        case "loss":
            headline = f"Adaptation hurts here: {method} lowers the score on {pictures} {change}."
            sure += f" Keep the {baseline} model for these pictures."
        case _:
            headline = (
                f"No clear difference: {method} moves the score on {pictures} {change}, which may be chance."
            )
            sure += " Zero lies inside: these pictures cannot tell which model is better."
    return Verdict(tone, headline, sure)


def _without_labels(compare: dict[str, Any]) -> str:
    free = compare["label_free"]
    baseline, method = LABELS[compare["baseline"]], LABELS[compare["method"]]
    old, new = (free["mean_confidence"].get(compare[k]) for k in ("baseline", "method"))
    parts = []
    if free["changed_share"] is not None:
        parts.append(
            f"{method} gives {percent(free['changed_share'])} of the pixels another class than {baseline}."
        )
    if old is not None and new is not None:
        parts.append(f"Its mean confidence is {percent(new)}, against {percent(old)}.")
    parts.append("Neither says which of the two is right: look at the pictures below and judge by eye.")
    return " ".join(parts)


def price_on_source(compare: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> str:
    """What adaptation costs, or gives, on the pictures the labels came from."""
    gain = compare["source"]["miou_gain"]
    if gain is None:
        return "There is no labelled source validation split, so the price on source pictures is unknown."
    old, new = points(before["source"]["miou"]), points(after["source"]["miou"])
    if abs(gain) < 0.005:
        return f"On the source pictures the score stays as it was: {old} before, {new} after."
    word = "loses" if gain < 0 else "gains"
    method = LABELS[compare["method"]]
    return f"On the source pictures {method} {word} {points(abs(gain))} points: {old} before, {new} after."


def winners_and_losers(compare: dict[str, Any]) -> tuple[str, str]:
    """Sentences that name up to three classes that gained or lost most; empty where nothing is known."""
    known = {n: g for n, g in compare["target"]["per_class_gain"].items() if g is not None}
    ranked = sorted(known, key=lambda n: -known[n])
    up = [n for n in ranked if known[n] >= 5e-4][:3]
    down = [n for n in reversed(ranked) if known[n] <= -5e-4][:3]

    def named(names: list[str]) -> str:
        chance = {
            n: tone_of(known[n], compare["target"]["per_class_gain_ci95"][n]) == "unclear" for n in names
        }
        return listed([f"{n} ({signed(known[n])}{', may be chance' if chance[n] else ''})" for n in names])

    won = f"Most gained: {named(up)}." if up else "No class gained." if known else ""
    lost = f"Most lost: {named(down)}." if down else "No class lost." if known else ""
    return won, lost
