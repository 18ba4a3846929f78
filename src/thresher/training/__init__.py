"""Training from a plan: resumable to the bit, measured as it goes, stopped with a reason when it diverges."""

from thresher.core.memory import keep_freed_memory
from thresher.core.rule import Rule
from thresher.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from thresher.training.evaluate import Evaluation, evaluate
from thresher.training.interruption import Interrupted
from thresher.training.learning_rate import SCHEDULES, learning_rate_at
from thresher.training.metrics import MetricsFile, Row
from thresher.training.no_rule import NoRule
from thresher.training.optimizers import OPTIMIZERS, make_optimizer
from thresher.training.outcome import Outcome
from thresher.training.plan import TrainingPlan
from thresher.training.progress import Progress, ProgressBar
from thresher.training.stream import TrainingStream
from thresher.training.train import train

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Evaluation",
    "Interrupted",
    "MetricsFile",
    "NoRule",
    "Outcome",
    "Progress",
    "ProgressBar",
    "Row",
    "Rule",
    "Stateful",
    "TrainingPlan",
    "TrainingStream",
    "evaluate",
    "keep_freed_memory",
    "learning_rate_at",
    "load_checkpoint",
    "make_optimizer",
    "save_checkpoint",
    "train",
]
