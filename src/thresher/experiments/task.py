"""What two recipes must share for one to be a baseline of the other."""

from thresher.experiments.recipe import Recipe

# what makes a network sparse, what computes it, and the seed: all else is the task
NOT_THE_TASK = {
    *("method", "sparsity", "allocation", "pattern", "schedule", "rounds", "protect", "on_collapse"),
    *("score_examples", "score_loss", "score_data", "reinitialize", "reinitialize_by", "isometry", "perturb"),
    *("holding", "engine", "seed"),
}


def same_task(one: Recipe, other: Recipe) -> bool:
    """Whether both train the same model in the same way on the same data, however they prune it and whatever the seed.

    >>> from dataclasses import replace
    >>> dense = Recipe(data="digits", model="lenet-300-100")
    >>> snip = replace(dense, method="snip", sparsity=0.9, seed=3)
    >>> same_task(dense, snip), same_task(dense, replace(snip, batch_size=32))
    (True, False)
    """
    return not set(one.differences(other)) - NOT_THE_TASK
