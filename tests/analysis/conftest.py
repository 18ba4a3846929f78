"""An oracle for signal flow: the network written out as a graph of single values, searched node by node."""

from collections import defaultdict

import numpy as np
import pytest
import torch

from thresher.core import Mask, generator, prunable


class Graph:
    """Nodes are single values; an edge may carry a weight (name, index); paths are searched, not computed."""

    def __init__(self):
        self.edges = []
        self.units = defaultdict(lambda: defaultdict(list))  # weight name → unit → its nodes
        self.count = 0

    def nodes(self, *shape):
        start, self.count = self.count, self.count + int(np.prod(shape))
        return np.arange(start, self.count).reshape(shape)

    def join(self, sources, targets):
        """Unweighted edges, element by element."""
        self.edges += [(s, t, None) for s, t in zip(np.ravel(sources), np.ravel(targets), strict=True)]
        return targets

    def linear(self, name, weight, sources, offset=0):
        """Rows of `weight` from row `offset` on are its units."""
        targets = self.nodes(weight.shape[0])
        for out, target in enumerate(targets):
            self.units[name][offset + out].append(target)
            self.edges += [(s, target, (name, (offset + out, i))) for i, s in enumerate(sources)]
        return targets

    def conv2d(self, name, conv, image):
        channels, height, width = image.shape
        (kh, kw), (sh, sw), (ph, pw), (dh, dw) = conv.kernel_size, conv.stride, conv.padding, conv.dilation
        out_h = (height + 2 * ph - dh * (kh - 1) - 1) // sh + 1
        out_w = (width + 2 * pw - dw * (kw - 1) - 1) // sw + 1
        targets = self.nodes(conv.out_channels, out_h, out_w)
        inside = channels // conv.groups
        for out, y, x in np.ndindex(targets.shape):
            self.units[name][out].append(targets[out, y, x])
            first = out // (conv.out_channels // conv.groups) * inside
            for i, ky, kx in np.ndindex(inside, kh, kw):
                row, col = y * sh - ph + ky * dh, x * sw - pw + kx * dw
                if 0 <= row < height and 0 <= col < width:
                    self.edges.append((image[first + i, row, col], targets[out, y, x], (name, (out, i, ky, kx))))
        return targets

    def conv_transpose2d(self, name, conv, image):
        channels, height, width = image.shape
        (kh, kw), (sh, sw), (ph, pw) = conv.kernel_size, conv.stride, conv.padding
        targets = self.nodes(conv.out_channels, (height - 1) * sh - 2 * ph + kh, (width - 1) * sw - 2 * pw + kw)
        group_out = conv.out_channels // conv.groups
        for c, y, x in np.ndindex(image.shape):
            group = c // (channels // conv.groups)
            for o, ky, kx in np.ndindex(group_out, kh, kw):
                row, col = y * sh - ph + ky, x * sw - pw + kx
                if 0 <= row < targets.shape[1] and 0 <= col < targets.shape[2]:
                    target = targets[group * group_out + o, row, col]
                    self.edges.append((image[c, y, x], target, (name, (c, o, ky, kx))))
        for out, y, x in np.ndindex(targets.shape):
            self.units[name][out].append(targets[out, y, x])
        return targets

    def pool2d(self, kernel, stride, image, out_shape, padding=0, dilation=1):
        targets = self.nodes(image.shape[0], *out_shape)
        for c, y, x in np.ndindex(targets.shape):
            for ky, kx in np.ndindex(kernel, kernel):
                row, col = y * stride - padding + ky * dilation, x * stride - padding + kx * dilation
                if 0 <= row < image.shape[1] and 0 <= col < image.shape[2]:
                    self.edges.append((image[c, row, col], targets[c, y, x], None))
        return targets

    def check(self, found, mask, inputs, outputs):
        """Assert that `found`, a Collapse, says what a search of the graph says."""
        forward, backward = defaultdict(list), defaultdict(list)
        present = [e for e in self.edges if e[2] is None or e[2][0] not in mask or mask[e[2][0]][e[2][1]]]
        for source, target, _ in present:
            forward[source].append(target)
            backward[target].append(source)
        fed, read = _reached(forward, np.ravel(inputs)), _reached(backward, np.ravel(outputs))
        effective = {name: torch.zeros_like(keep) for name, keep in mask.items()}
        for source, target, label in present:
            if label is not None and label[0] in mask and source in fed and target in read:
                effective[label[0]][label[1]] = True
        assert found.effective == Mask(effective)
        assert found.disconnected == (not fed & set(np.ravel(outputs).tolist()))
        for name in mask:
            units = self.units[name].items()
            assert found.units_without_input[name] == tuple(u for u, n in sorted(units) if not fed & set(n))
            assert found.units_without_output[name] == tuple(u for u, n in sorted(units) if not read & set(n))
        assert found.notes == ()


def _reached(neighbours, starts):
    seen, todo = set(), [int(s) for s in starts]
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += [int(n) for n in neighbours[node]]
    return seen


@pytest.fixture
def graph():
    """An empty graph."""
    return Graph()


@pytest.fixture(scope="session")
def new_graph():
    """Makes empty graphs, for tests that need one per drawn example."""
    return Graph


@pytest.fixture(scope="session")
def draw_mask():
    """Makes a random mask over what can be pruned in a model."""

    def draw(model, sparsity, seed, **kinds):
        g = generator(seed, "mask")
        return Mask({n: torch.rand(p.shape, generator=g) >= sparsity for n, p in prunable(model, **kinds).items()})

    return draw
