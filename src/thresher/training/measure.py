"""One row of measurements, after so many steps."""

from torch import nn

from thresher.core import Data, Loss
from thresher.training.evaluate import evaluate
from thresher.training.learning_rate import learning_rate_at
from thresher.training.metrics import Row
from thresher.training.plan import TrainingPlan
from thresher.training.state import TrainingState


def measure(
    model: nn.Module,
    loss: Loss,
    plan: TrainingPlan,
    state: TrainingState,
    steps_per_epoch: int,
    validation: Data | None,
    test: Data | None,
) -> Row:
    """The row for `state.step`, at least 1: what the model scores now, and the training means, which start anew.

    Raises what `evaluate` does. Cost: one forward pass over `validation` and `test`.
    """
    validated = evaluate(model, validation, loss, "validation") if validation is not None else None
    tested = evaluate(model, test, loss, "test") if test is not None else None
    train_loss, train_error_pct = state.close_window()
    return Row(
        step=state.step,
        epoch=state.step / steps_per_epoch,
        learning_rate=learning_rate_at(plan, state.step - 1),
        train_loss=train_loss,
        train_error_pct=train_error_pct,
        validation_loss=validated.loss if validated else None,
        validation_error_pct=validated.error_pct if validated else None,
        test_loss=tested.loss if tested else None,
        test_error_pct=tested.error_pct if tested else None,
    )
