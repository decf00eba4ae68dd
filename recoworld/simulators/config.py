"""Every coefficient of the behavioural simulator."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from recoworld.configs.checked import validated
from recoworld.errors import ConfigError, UnknownName

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Spread = Annotated[float, Field(ge=0, le=5)]
LogOdds = Annotated[float, Field(ge=-1e3, le=1e3)]


class BehavioralConfig(BaseModel):
    """Coefficients of `recoworld.simulators.behavioral`; its module docstring has the equations.

    **Where the defaults come from.** What parts liked from unliked is steered by the fidelity harness on MovieLens-1M (docs/LOG.md,
    2026-11-21): `click_attraction`, `click_interest` and `focus_strength` are such that training users' later choices are likely, that
    users differ as people do, and that recommenders are ranked as the log ranks them. Rates are set so that a good personalised policy
    (EASE on ML-1M) meets those of a large video feed: Tenrec's QK-video log (Yuan et al. 2022, arXiv 2210.10629) counts 493,458,970
    impressions, of which 28.8 % were clicked, 2.1 % liked (7.1 % of clicks) and 0.23 % shared (0.8 % of clicks). Language-model users,
    for comparison, are positive 40 to 60 % of the time. Comments are put at 0.5 % of clicks. For the mindset's speeds and the hazards
    there is no public log to read them from: they are chosen so that sessions last about 6 turns for random slates and 10 for good ones.
    Fit them to a log of your own with `recoworld calibrate`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # taste (fitted)
    interest_dim: Annotated[int, Field(ge=1, le=512)] = 64
    """Factors of who takes what."""
    interest_alpha: Positive = 0.3
    """Weight of the items not taken."""
    interest_reg: Positive = 0.01
    rating_dim: Annotated[int, Field(ge=1, le=512)] = 16
    """Factors of how much they like it."""
    rating_reg: Positive = 0.075
    epochs: Annotated[int, Field(ge=1, le=200)] = 8

    # the click
    click_base: LogOdds = -6.6
    """Log-odds of a click on an examined item without any appeal."""
    click_attraction: Weight = 7.0
    """Weight of the attraction (1 is the mean of the user's fifty most attractive items)."""
    click_interest: Weight = 3.5
    """Weight of the match with the current interest."""
    click_satiation: Weight = 4.0
    """Weight of the squared satiation."""
    click_repeat: Weight = 2.5
    """Log-odds lost for each time that the item was met before (three at most)."""
    click_fatigue: Weight = 0.8
    click_spread: Spread = 0.4
    """Standard deviation between users of the click's log-odds."""

    # examination
    effort: Positive = 0.07
    """Rate of giving up per slot: the slot j (from 0) is examined with probability exp(-effort * j) by a fresh, patient user."""
    effort_spread: Spread = 0.4
    """Standard deviation between users of the log effort."""
    effort_fatigue: Weight = 1.0
    effort_boredom: Weight = 1.0

    # after the click
    like_base: LogOdds = -3.1
    """Log-odds of a like on a clicked item felt to be worth 3.5 stars; likewise for comment and share."""
    comment_base: LogOdds = -5.8
    share_base: LogOdds = -5.5
    action_stars: Weight = 0.9
    """Log-odds of like, comment and share gained per star."""
    watch_base: Share = 0.5
    """Share of the duration watched at 3.5 stars."""
    watch_stars: Weight = 0.2
    """Share gained per star."""
    watch_fatigue: Weight = 0.2

    # the mindset's speeds and targets
    satisfaction_speed: Share = 0.35
    value_full: Positive = 0.33
    """Value of a slate (watched shares less skips, per examined slot) at which satisfaction aims for 1."""
    skip_cost: Weight = 0.05
    heard: Weight = 0.5
    """What satisfaction's aim gains from a followed instruction and loses by an ignored one."""
    boredom_speed: Share = 0.4
    boredom_satiation: Weight = 1.4
    boredom_repeat: Weight = 0.6
    fatigue_speed: Share = 0.05
    patience_speed: Share = 0.2
    ignored: Weight = 0.5
    """Patience lost by an ignored instruction."""
    trust_speed: Share = 0.5
    """Speed of trust while an instruction is in force."""
    trust_drift: Share = 0.05
    """Speed at which trust otherwise follows satisfaction."""

    # interest and satiation
    focus: Share = 0.5
    """Share of sessions that begin with a genre in mind."""
    focus_strength: Weight = 1.5
    interest_pull: Share = 0.1
    """Speed at which interest returns to the user's own taste."""
    interest_click: Weight = 0.08
    """What a clicked item adds to the interest in its features."""
    interest_noise: Weight = 0.05
    satiation_memory: Share = 0.65
    """Share of the satiation that is left after a turn."""

    # leaving and speaking
    leave_base: LogOdds = -2.9
    """Log hazard per turn at satisfaction, patience and trust 1/2, without boredom or fatigue."""
    leave_satisfaction: Weight = 2.2
    leave_boredom: Weight = 1.6
    leave_fatigue: Weight = 1.2
    leave_patience: Weight = 1.2
    leave_trust: Weight = 1.2
    sense_at: Positive = 0.10
    """Hazard from which on the user senses that it is about to disengage."""
    talkative: Share = 0.6
    """Share of those moments in which a user of average talkativeness and full trust says what it wants."""
    instruction_gap: Annotated[int, Field(ge=1)] = 2
    """Slates that the user waits for an answer before it speaks again."""

    @classmethod
    def of(cls, settings: dict[str, Any] | BehavioralConfig | None) -> BehavioralConfig:
        """A config out of overrides. Raises ConfigError that names the setting, with a suggestion for a misspelt one."""
        if isinstance(settings, cls):
            return settings
        for key in settings or {}:
            if key not in cls.model_fields:
                raise ConfigError(str(UnknownName("setting of the behavioural simulator", key, cls.model_fields)))
        return validated(cls, settings or {}, "behavioural simulator")
