"""The mindset, the moment and the list in the words of a prompt."""

from __future__ import annotations

from recoworld.types import LEVELS

_FEELINGS = {
    "satisfaction": ("unhappy", "so-so", "happy"),
    "boredom": ("not bored", "a little bored", "bored"),
    "fatigue": ("fresh", "a little tired", "tired"),
    "patience": ("impatient", "patient enough", "patient"),
    "trust": ("distrustful", "half trusting", "trusting"),
}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PARTS = ((5, "night"), (11, "morning"), (14, "midday"), (18, "afternoon"), (23, "evening"), (24, "night"))


def feelings(levels: list[float]) -> str:
    """The five `LEVELS` in words and numbers from 0 to 10."""
    said = []
    for name, level in zip(LEVELS, levels, strict=True):
        said.append(f"{name} {round(level * 10)} ({_FEELINGS[name][min(int(level * 3), 2)]})")
    return ", ".join(said)


def moment(minutes: int) -> str:
    """A minute of the week, 0 for Monday's midnight: "Friday evening, 21:05"."""
    day, minute = divmod(minutes % (7 * 1440), 1440)
    hour = minute // 60
    part = next(name for end, name in _PARTS if hour < end)
    return f"{_DAYS[day]} {part}, {hour}:{minute % 60:02d}"


def heard(followed: float) -> str:
    """How well a slate did what had been asked for."""
    return "does not follow it" if followed < 0.25 else "follows it in part" if followed < 0.75 else "follows it"
