"""Rules: what holds while training."""

from thresher.rules.fixed_mask import FixedMask
from thresher.rules.rule import Rule

RULES: dict[str, type[Rule]] = {"fixed-mask": FixedMask}

__all__ = ["RULES", "FixedMask", "Rule"]
