"""How chapter 3 of Lee's thesis trains (section 3.5), and our reading of what it leaves open."""

from dataclasses import replace

from thresher.papers.training_protocol import TrainingProtocol
from thresher.training.plan import OptimizerName

SOURCE = (
    "N. Lee, Toward Efficient Deep Learning with Sparse Neural Networks, DPhil thesis, University of Oxford (2020); "
    "first in N. Lee, T. Ajanthan, P. Torr, SNIP: Single-shot Network Pruning based on Connection Sensitivity, "
    "ICLR 2019"
)

# The readings, to be changed here and nowhere else.
OPTIMIZER: OptimizerName = (
    "momentum"  # of 0.9, as section 3.5 has it; the authors' published code defaults to plain SGD
)
ITERATIONS_MNIST = 80_000  # chapter 3 gives none; chapter 4 trains MNIST so long
ITERATIONS_CIFAR = 100_000  # likewise
REINITIALIZE = True  # the authors' published code draws new weights; Algorithm 1 can be read either way
INITIALIZER = "lecun"  # TensorFlow's variance scaling with its defaults, which that code calls
# of LeNet-5-Caffe where little or nothing is removed: at the 0.1 of section 3.5 it diverges, whatever the seed
DENSE_LENET_5_RATE = 0.01

MNIST = TrainingProtocol(
    data="mnist",
    batch_size=100,
    iterations=ITERATIONS_MNIST,
    decay_every=25_000,
    optimizer=OPTIMIZER,
    initializer=INITIALIZER,
    evaluate_every=1000,
)
CIFAR = replace(MNIST, data="cifar-10", batch_size=128, iterations=ITERATIONS_CIFAR, decay_every=30_000, augment=True)
# section 3.5.5: Adam with learning rate 0.001 and no decay of the weights; that of the rate is not mentioned there
ADAM = replace(MNIST, optimizer="adam", learning_rate=1e-3, weight_decay=0.0, decay_every=None)

READINGS = (
    f"{ITERATIONS_MNIST:,} iterations on MNIST and {ITERATIONS_CIFAR:,} on CIFAR-10: chapter 3 does not say how "
    "many, chapter 4 trains so long",
    f"optimizer '{OPTIMIZER}', learning rate 0.1 divided by 10 every 25,000 (CIFAR: 30,000) iterations, weight decay "
    "0.0005 on every parameter, biases included",
    f"weights of initializer '{INITIALIZER}', "
    + ("drawn anew after pruning" if REINITIALIZE else "the same for scoring and training"),
    "one batch scores: 100 examples of MNIST, 128 of CIFAR-10",
    "the error is the one after the last step; the authors' code prints the lowest of its last checkpoints, which "
    "is about 0.1 lower in our runs",
)
DEPARTURES = (
    "biases are neither scored nor pruned; the authors' code does both. Sparsity is a fraction of the weights alone "
    "(266,200 of 266,610 parameters in LeNet-300-100)",
    "which examples were set apart for validation is not published: another tenth of the training set is here",
)
