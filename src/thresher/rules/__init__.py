"""Rules: what holds while training."""

from thresher.core.rule import Rule
from thresher.rules.fixed_mask import FixedMask

RULES: dict[str, type[Rule]] = {"fixed-mask": FixedMask}

__all__ = ["RULES", "FixedMask", "Rule"]
