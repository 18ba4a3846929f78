"""What two recipes must share for one to be a baseline of the other."""

from thresher.experiments.recipe import Recipe

# how a network is made sparse and then computed: it says nothing of a dense one, or is refused there
OF_PRUNING = {
    *("allocation", "pattern", "schedule", "rounds", "protect", "on_collapse"),
    *("score_examples", "score_loss", "score_data", "reinitialize", "reinitialize_by", "isometry", "perturb"),
    *("holding", "engine"),
}
# all else is the task
NOT_THE_TASK = OF_PRUNING | {"method", "sparsity", "seed"}


def same_task(one: Recipe, other: Recipe) -> bool:
    """Whether both train the same model in the same way on the same data, however they prune it and whatever the seed.

    >>> from dataclasses import replace
    >>> dense = Recipe(data="digits", model="lenet-300-100")
    >>> snip = replace(dense, method="snip", sparsity=0.9, seed=3)
    >>> same_task(dense, snip), same_task(dense, replace(snip, batch_size=32))
    (True, False)
    """
    return not set(one.differences(other)) - NOT_THE_TASK
